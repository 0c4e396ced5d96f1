"""What a budget refuses, how far down it goes, and who may teach: the edges of pruning to a price."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import prunecli
from prunecli import demo
from prunecli.calibration.directions import is_multi_label
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.cli.app import app
from prunecli.config import TrainMasksConfig
from prunecli.errors import ExitCode, InputError, NothingLeftError, OfflineError, UnsupportedModelError
from prunecli.operations import train_masks
from prunecli.progress import silent
from prunecli.training import target
from prunecli.training.scoring import TENTHS
from prunecli.training.session import Session, open_session
from tests import tiny
from tests.story.test_budgets import FAST, proven, prune


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"method": "one-shot"}, InputError, "needs a budget"),
        ({"target_flops": 0.5, "target_params": 0.5}, InputError, "exclude each other"),
        ({"target_flops": 0.5, "learn_masks": ["ffn_in"]}, InputError, "cannot be learned under a target"),
        (
            {"target_flops": 0.5, "learn_masks": ["head", "layer"]},
            InputError,
            "cannot be learned under a target",
        ),
        ({"target_flops": 0.5, "learn_masks": ["layer"], "method": "taylor"}, InputError, "scores no layers"),
        (
            {"target_flops": 0.5, "learn_masks": ["hidden"], "method": "one-shot"},
            InputError,
            "no hidden dimensions",
        ),
        ({"target_speedup": 2, "learn_masks": ["hidden"]}, InputError, "cannot price hidden dimensions"),
        (
            {"target_flops": 0.2, "learn_masks": ["layer"]},
            NothingLeftError,
            "the least that keeps one is 33.3%",
        ),
        ({"target_flops": 0.02, "learn_masks": ["hidden"]}, InputError, "leave no hidden dimension"),
        (
            {"target_flops": 0.5, "calibration_rows": 8, "method": "taylor"},
            InputError,
            "8 calibration rows have .* too few for layers",
        ),
        ({"target_flops": 0.5, "frozen_epochs": 1}, InputError, "--frozen-epochs and a target"),
        ({"target_flops": 0.5, "teacher": "nowhere"}, OfflineError, "nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        prune(tmp_path / "run", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["one-shot", "magnitude"])
def test_a_new_head_cannot_judge_units(method: str, tmp_path: Path) -> None:
    bare = tiny.save_tiny(tmp_path / "bare", "bert", head="Model")
    asked: dict[str, Any] = {"model": str(bare), "task": "demo", "method": method, "target_flops": 0.5}
    config = TrainMasksConfig.of({**asked, "out": tmp_path / "run", **FAST})
    for refused in (train_masks.plan, train_masks.run):
        with pytest.raises(UnsupportedModelError, match="has no head for task"):
            refused(config)
    assert not (tmp_path / "run").exists()


def test_a_whole_budget_only_fine_tunes(tmp_path: Path) -> None:
    bare = tiny.save_tiny(tmp_path / "bare", "bert", head="Model")
    budget = {"method": "magnitude", "target_flops": 1.0, "recovery_epochs": 1, "keep_weights": True}
    result = prunecli.train_masks(str(bare), "demo", out=tmp_path / "run", **budget, **FAST)
    assert result.parameters[0] == result.parameters[1]
    assert result.steps > 0
    assert result.dense is None
    head = read_checkpoint(tmp_path / "run" / "model")
    assert head.architecture == "BertForSequenceClassification"


def test_the_smallest_model_that_holds(tmp_path: Path) -> None:
    run = prune(tmp_path / "run", max_drop=0.3, keep_weights=True)
    assert run.target is not None and run.dense is not None
    assert run.target.asked in TENTHS and run.target.reached <= run.target.asked
    assert run.dense["accuracy"] - run.masked["accuracy"] <= 0.3
    proven(run, tmp_path / "cut")


def test_a_drop_that_nothing_keeps_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "evaluate", lambda self, model: {"accuracy": 1.0 - next(falling)})
    falling = iter((0, 1, 3))
    with pytest.raises(InputError, match=r"without a tenth of the encoder's FLOPs accuracy falls by 1\.0000"):
        prune(tmp_path / "run", max_drop=0.1, method="magnitude", keep_weights=True)
    assert not (tmp_path / "run").exists()


def test_a_drop_where_not_even_a_tenth_can_go_is_refused(tmp_path: Path) -> None:
    one_layer = tiny.save_tiny(tmp_path / "one", "bert", num_hidden_layers=1, num_labels=2)
    asked: dict[str, Any] = {"learn_masks": ["layer"], "method": "one-shot", "max_drop": 0.1}
    with pytest.raises(NothingLeftError):
        prunecli.train_masks(str(one_layer), "demo", out=tmp_path / "run", **asked, **FAST)
    assert not (tmp_path / "run").exists()


def test_what_is_read_is_not_replaced(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    for name in ("train", "validation"):
        shutil.copyfile(demo.MODEL.parent / f"{name}.jsonl", rows / f"{name}.jsonl")
    teacher = shutil.copytree(demo.MODEL, tmp_path / "teacher")
    asked = {"method": "magnitude", "target_flops": 0.5, "overwrite": True, "device": "cpu"}
    for task, out, more in (
        (str(rows), rows, {}),
        ("demo", rows, {"data_dir": rows}),
        ("demo", teacher, {"teacher": str(teacher), "recovery_epochs": 1}),
    ):
        with pytest.raises(InputError, match="which it would replace"):
            prunecli.train_masks("demo", task, out=out, **asked, **more)
    assert (rows / "train.jsonl").is_file() and (teacher / "config.json").is_file()


def test_a_plan_and_a_run_stop_after_the_same_steps(tmp_path: Path) -> None:
    asked = {
        **FAST,
        "model": "demo",
        "task": "demo",
        "out": tmp_path / "run",
        "num_epochs": 1,
        "max_steps": 8,
    }
    config = TrainMasksConfig.of(asked)
    assert train_masks.plan(config).steps == train_masks.run(config).steps == 8
    aimed = {"target_flops": 0.5, "overwrite": True}
    assert TrainMasksConfig.of({**asked, **aimed}).recovery == 0  # whoever counts steps means all of them
    assert TrainMasksConfig.of({**asked, **aimed, "max_steps": None}).recovery == 2


def test_the_way_down_ends_where_nothing_would_be_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(Session, "evaluate", lambda self, model: {"accuracy": 1.0})
    run = prune(
        tmp_path / "run", max_drop=0.1, method="magnitude", keep_weights=True, learn_masks=["ffn_int"]
    )
    assert run.target.asked == 0.4 and "the way ends here: 30.0%" in caplog.text


def test_a_target_of_everything_scores_and_refits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunecli.training.scoring.Pruner", None)
    run = prune(tmp_path / "run", method="magnitude", target_flops=1.0)
    assert run.density == {"head": 1.0, "ffn_int": 1.0} and run.refit is None
    assert run.masked == run.dense


def test_strict_says_no_to_a_model_that_is_too_slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(target, "time_share", lambda *_: 0.99)
    words = "train-masks demo demo --method magnitude --keep-weights --target-speedup 1.2 --speedup-at 2x16"
    done = CliRunner().invoke(app, [*words.split(), "--strict", "--out", str(tmp_path / "run")])
    assert done.exit_code == ExitCode.VERDICT_NO
    assert (tmp_path / "run" / "run.json").is_file()


def test_a_teacher_of_several_labels_a_text_is_asked_for_each(tmp_path: Path) -> None:
    model = str(
        tiny.save_tiny(tmp_path / "model", "bert", num_labels=3)
    )  # its config says nothing of several
    rows = [
        json.dumps({"text": "good film", "labels": names}) for names in (["a"], ["b", "c"], [], ["a", "c"])
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows * 8) + "\n")
    asked = {"model": model, "task": str(tmp_path / "rows.jsonl"), "teacher": model, "recovery_epochs": 1}
    config = TrainMasksConfig.of({**asked, "method": "one-shot", "target_flops": 0.5, "device": "cpu"})
    session = open_session(config, *train_masks.read_inputs(config, []), silent)
    teacher = train_masks.teacher_of(session)
    assert teacher is not None and is_multi_label(session.loaded.model) and is_multi_label(teacher)


def test_a_teacher_has_the_labels_in_the_order_of_the_models_head(tmp_path: Path) -> None:
    folders = {}
    for name, labels in (("plain", ("LABEL_0", "LABEL_1")), ("swapped", ("positive", "negative"))):
        folders[name] = Path(shutil.copytree(demo.MODEL, tmp_path / name))
        file = folders[name] / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "id2label": dict(enumerate(labels))}))

    def taught(model: Any, teacher: Path) -> Any:
        asked = {"target_flops": 0.5, "method": "one-shot", "recovery_epochs": 1, "teacher": str(teacher)}
        return prunecli.train_masks(model, "demo", out=tmp_path / "run", **{**FAST, **asked})

    with pytest.raises(InputError, match="has not the same labels"):
        taught("demo", folders["swapped"])
    assert taught(folders["plain"], folders["plain"]).unrecovered is not None  # it recovered, then
