"""Methods side by side: a table, a picture, and numbers that agree with a run of their own."""

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import prunecli
from prunecli.config import CompareConfig
from prunecli.config.train_masks import read_shares
from prunecli.errors import InputError, TargetExistsError, UnsupportedModelError
from prunecli.operations import compare
from prunecli.training import trials
from tests import tiny

FAST: dict[str, Any] = {"device": "cpu", "max_length": 32, "calibration_rows": 64, "batch_size": 16}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    asked: dict[str, Any] = {"methods": "one-shot,random", "targets": "0.5,0.2", "seeds": 2}
    return prunecli.compare("demo", "demo", out=tmp_path_factory.mktemp("compare") / "page", **asked, **FAST)


def test_points_are_what_runs_of_their_own_give(result: Any, tmp_path: Path) -> None:
    assert [(point.method, point.asked) for point in result.points] == [
        ("one-shot", 0.5), ("one-shot", 0.2), ("random", 0.5), ("random", 0.2),
    ]  # fmt: skip
    assert all(len(point.values) == 2 and point.reached <= point.asked for point in result.points)
    run = prunecli.train_masks(
        "demo", "demo", out=tmp_path / "run", method="one-shot", target_flops=0.2, seed=1, **FAST
    )
    assert run.masked["accuracy"] == result.points[1].values[1]  # type: ignore[union-attr]
    assert result.points[0].mean > result.points[3].mean


def test_the_page_stands_alone_and_shows_every_number(result: Any) -> None:
    out = Path(result.out)
    page = (out / "compare.html").read_text()
    stored = json.loads((out / "compare.json").read_text())["result"]
    assert all(f"{point.mean:.4f}" in page and point.method in page for point in result.points)
    assert "<script" not in page and "http://" not in page and "https://" not in page
    assert stored["points"][0]["neurons"] == result.points[0].neurons
    with pytest.raises(TargetExistsError):
        prunecli.compare("demo", "demo", out=out, **FAST)


@pytest.mark.parametrize(
    ("methods", "wanted"), [("untrained,hard-concrete", 6), ("all", 7), ("random,random", 1)]
)
def test_words_stand_for_several_methods(methods: str, wanted: int) -> None:
    config = CompareConfig.of({"model": "demo", "task": "demo", "methods": methods})
    assert len(compare._methods(config)) == wanted


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'typo' is not known"):
        prunecli.compare("demo", "demo", out=tmp_path / "page", methods="typo,all", **FAST)
    with pytest.raises(InputError, match=r"no unit"):  # before the first target is trained
        prunecli.train_masks(
            "demo",
            "demo",
            out=tmp_path / "page",
            sweep="0.6,0.01",
            round_to=64,
            method="hard-concrete",
            **FAST,
        )
    bare = tiny.save_tiny(tmp_path / "bare", "bert", head="Model")
    with pytest.raises(UnsupportedModelError, match=r"has no head"):
        prunecli.compare(str(bare), "demo", out=tmp_path / "page", **FAST)
    assert not (tmp_path / "page").exists()


def test_methods_that_train_and_recovery_are_what_runs_of_their_own_give(tmp_path: Path) -> None:
    asked: dict[str, Any] = {**FAST, "num_epochs": 1, "recovery_epochs": 1}
    names = ("magnitude", "hard-concrete")
    found = prunecli.compare(
        "demo", "demo", out=tmp_path / "page", methods=",".join(names), targets="0.6,0.3", **asked
    )
    assert [(point.method, point.asked) for point in found.points] == [
        (name, share) for name in names for share in (0.6, 0.3)
    ]
    for name, point in zip(names, found.points[1::2], strict=True):
        own = (
            asked if name == "hard-concrete" else {**asked, "num_epochs": 5}
        )  # the default: nothing reads it
        out = tmp_path / name
        run: Any = prunecli.train_masks("demo", "demo", out=out, method=name, target_flops=0.3, **own)
        assert run.masked["accuracy"] == point.values[0] and run.kept["ffn_int"] == point.neurons
        family = tmp_path / f"{name}-family"
        prunecli.train_masks("demo", "demo", out=family, method=name, sweep="0.6,0.3", **own)
        mine, alone = (load_file(folder / "model" / "model.safetensors") for folder in (family / "0.3", out))
        assert mine.keys() == alone.keys() and all(torch.equal(mine[key], alone[key]) for key in mine)


def test_models_of_earlier_targets_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, copied = weakref.WeakSet[Any](), trials._with_model

    def noted(session: Any, model: Any) -> Any:
        models.add(model)
        return copied(session, model)

    monkeypatch.setattr(trials, "_with_model", noted)
    asked = {**FAST, "methods": "magnitude", "targets": "0.8,0.6,0.4", "recovery_epochs": 1}
    prunecli.compare("demo", "demo", out=tmp_path / "page", **asked)
    gc.collect()
    assert len(models) == 0


def test_a_sweep_writes_a_run_for_each_target(tmp_path: Path) -> None:
    family = prunecli.train_masks("demo", "demo", out=tmp_path / "family", sweep="0.5,0.25", **FAST)
    assert [point.asked for point in family.points] == [0.5, 0.25]  # type: ignore[union-attr]
    assert {path.name for path in (tmp_path / "family").iterdir()} == {
        "0.5",
        "0.25",
        "compare.html",
        "compare.json",
    }
    alone = prunecli.train_masks(
        "demo", "demo", out=tmp_path / "run", method="one-shot", target_flops=0.25, **FAST
    )
    masks = [
        (folder / "masks.safetensors").read_bytes() for folder in (tmp_path / "family" / "0.25", alone.out)
    ]  # type: ignore[union-attr]
    assert masks[0] == masks[1]
    cut = prunecli.apply_masks(tmp_path / "family" / "0.25", out=tmp_path / "cut")
    assert prunecli.verify_automodel(cut.out, against=tmp_path / "family" / "0.25").passed


def test_shares_that_are_written_alike_are_one() -> None:
    assert read_shares("0.5000001,0.5,0.3", "--sweep") == [0.5000001, 0.3]


def test_layers_that_share_weights_are_compared_by_methods_that_train(tmp_path: Path) -> None:
    albert = tiny.save_tiny(tmp_path / "albert", "albert", num_hidden_groups=1, num_labels=2)
    asked = {**FAST, "targets": "0.5", "batch_size": 64, "recovery_epochs": 0}
    with pytest.raises(UnsupportedModelError, match="one by one"):
        prunecli.compare(str(albert), "demo", methods="magnitude", out=tmp_path / "page", **asked)
    result = prunecli.compare(
        str(albert), "demo", methods="hard-concrete", num_epochs=1, out=tmp_path / "page", **asked
    )
    assert [point.method for point in result.points] == ["hard-concrete"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sweep": "0.5,2"}, "no share between"),
        ({"sweep": "half"}, "no share between"),
        ({"sweep": "0.5", "target_flops": 0.5}, "exclude each other"),
        ({"sweep": "0.5", "resume": True}, "--resume cannot be combined"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        prunecli.train_masks("demo", "demo", out=tmp_path / "family", **options, **FAST)
    assert not list(tmp_path.iterdir())
