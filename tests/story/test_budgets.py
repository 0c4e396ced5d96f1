"""A budget through real processes' worth of code: asked, met, cut, proven; with and without training."""

from pathlib import Path
from typing import Any

import pytest

import prunecli
from prunecli import demo, methods
from prunecli.errors import InputError
from prunecli.masks import allocation
from tests import tiny

FAST: dict[str, Any] = {"device": "cpu", "max_train_samples": 96, "max_length": 32, "batch_size": 16}


def prune(out: Path, **options: Any) -> Any:
    return prunecli.train_masks("demo", "demo", out=out, **{**FAST, **options})


def proven(run: Any, folder: Path) -> None:
    cut = prunecli.apply_masks(run.out, out=folder)
    assert cut.heads == run.kept["head"] and cut.neurons == run.kept["ffn_int"]
    assert prunecli.verify_automodel(cut.out, against=run.out).passed


@pytest.fixture(scope="module")
def one_shot(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return prune(tmp_path_factory.mktemp("one-shot") / "run", method="one-shot", target_flops=0.4)


@pytest.mark.parametrize(
    "method", [name for name in methods.names() if "-" not in name or name == "one-shot"]
)
def test_methods_without_training_meet_a_budget(method: str, one_shot: Any, tmp_path: Path) -> None:
    known = one_shot if method == "one-shot" else None
    run = known or prune(tmp_path / "run", method=method, target_flops=0.4)
    assert (run.method, run.steps, run.target.unit) == (method, 0, "flops")
    assert 0.39 < run.target.reached <= 0.4
    assert run.flops[1] / run.flops[0] == pytest.approx(run.target.reached)
    assert run.refit[1] < run.refit[0]  # the cut of such a run is proven in test_compare.py


@pytest.mark.parametrize("method", ["one-shot", "hard-concrete"])
def test_whole_layers_meet_a_budget_and_a_stock_class_loads_the_rest(method: str, tmp_path: Path) -> None:
    run = prune(tmp_path / "run", method=method, target_params=0.7, learn_masks=["layer"], recovery_epochs=1)
    assert sum(run.kept["layer"]) == 2 and run.target.reached == pytest.approx(2 / 3)
    cut = prunecli.apply_masks(run.out, out=tmp_path / "cut")
    assert cut.native and cut.layers == (3, 2) and cut.parameters == run.parameters
    assert prunecli.verify_automodel(cut.out, against=run.out, atol=1e-4).passed


def test_hidden_dimensions_and_units_share_a_budget(tmp_path: Path) -> None:
    groups = ["hidden", "head", "ffn_int"]
    run = prune(
        tmp_path / "run", target_params=0.5, learn_masks=groups, num_epochs=1, recovery_epochs=1, round_to=8
    )
    (left,) = run.kept["hidden"]
    assert left % 8 == 0 and 0.45 < run.target.reached <= 0.5
    cut = prunecli.apply_masks(run.out, out=tmp_path / "cut")
    assert cut.hidden == (64, left) and cut.parameters == run.parameters
    assert prunecli.verify_automodel(cut.out, against=run.out).passed


def test_a_speedup_is_a_budget_of_measured_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(allocation, "FEWEST_WIDTHS", 4)  # the demo has 256 neurons a layer
    run = prune(
        tmp_path / "run", method="magnitude", target_speedup=1.2, speedup_at="2x16", keep_weights=True
    )
    assert all(width % 32 == 0 for width in run.kept["ffn_int"])
    assert run.target.unit == "ms"
    assert 0.5 < run.target.reached <= 1  # a timing of the cut model corrects the table
    assert run.target.measured is not None and 0 < run.target.measured < 2
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 1
    with pytest.raises(InputError, match="no batch size and tokens"):
        prune(tmp_path / "other", method="magnitude", target_speedup=1.2, speedup_at="fast")


@pytest.mark.parametrize("method", ["hard-concrete", "gumbel-sigmoid"])
def test_trained_gates_meet_a_budget_and_the_cut_model_trains_on(method: str, tmp_path: Path) -> None:
    run = prune(tmp_path / "run", method=method, target_params=0.5, num_epochs=2, recovery_epochs=1)
    assert 0.49 < run.target.reached <= 0.5
    assert 0 < run.target.expected <= 1.01
    assert run.steps == 3 * 6 and run.recovery_seconds > 0
    before, after = run.refit
    assert 0 <= after < before
    proven(run, tmp_path / "cut")


@pytest.mark.parametrize("options", [{"keep_weights": True}, {"distill": "never"}, {"freeze": True}])
def test_what_trained_gates_leave_can_stay_as_it_is(options: dict[str, Any], tmp_path: Path) -> None:
    run = prune(tmp_path / "run", target_params=0.5, num_epochs=1, **options)
    assert run.refit is None
    if "freeze" in options:
        proven(run, tmp_path / "cut")


def test_too_few_rows_for_a_refit_lose_nothing_that_was_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run = prune(tmp_path / "run", target_params=0.5, num_epochs=1, calibration_rows=8)
    assert run.refit is None and "no refit: 8 calibration rows have" in caplog.text


def test_recovery_follows_scores_and_widths_are_multiples(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: dict[str, Any] = {"method": "one-shot", "target_flops": 0.5, "round_to": 16}
    run = prune(tmp_path / "run", **asked, recovery_epochs=1, recovery_lr=1.0)  # far too much
    assert run.unrecovered == prune(tmp_path / "alone", **asked).masked
    assert run.masked["accuracy"] < run.unrecovered["accuracy"] and "recovery lowered accuracy" in caplog.text
    assert "the model guesses: accuracy 0.5000" in caplog.text
    assert all(width % 16 == 0 for width in run.kept["ffn_int"])
    assert run.steps == 6 and run.target.reached <= 0.5
    proven(run, tmp_path / "cut")


@pytest.mark.parametrize(
    ("options", "group"),
    [
        ({"method": "one-shot"}, "head"),
        ({"method": "fisher"}, "ffn_int"),
        ({"method": "hard-concrete", "num_epochs": 1}, "head"),
    ],
)
def test_one_group_alone_can_pay_for_a_budget(group: str, options: dict[str, Any], tmp_path: Path) -> None:
    run = prune(tmp_path / "run", target_flops=0.8, learn_masks=[group], **options)
    assert list(run.kept) == [group]
    assert 0.75 < run.target.reached <= 0.8


def test_the_same_seed_gives_the_same_masks(one_shot: Any, tmp_path: Path) -> None:
    again = prune(tmp_path / "run", method="one-shot", target_flops=0.4)
    masks = [(run.out / "masks.safetensors").read_bytes() for run in (one_shot, again)]
    assert masks[0] == masks[1]
    assert one_shot.masked == again.masked


def test_without_a_refit_the_weights_stay_what_they_were(tmp_path: Path) -> None:
    run = prune(tmp_path / "run", method="magnitude", target_flops=0.5, keep_weights=True)
    assert run.refit is None
    mine, source = (tiny.load(folder) for folder in (run.out / "model", demo.MODEL))
    for (name, tensor), other in zip(mine.state_dict().items(), source.state_dict().values(), strict=True):
        assert tensor.equal(other), name
