"""What people do by mistake or half, and what they are told then."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import prunecli
from prunecli.cli.app import app
from prunecli.errors import InputError

FAST: dict[str, Any] = {"device": "cpu", "max_train_samples": 96, "max_length": 32, "batch_size": 16}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder."""
    out = tmp_path_factory.mktemp("near") / "run"
    prunecli.train_masks("demo", "demo", out=out, method="magnitude", target_flops=0.5, **FAST)
    return out


@pytest.fixture(scope="module")
def cut(run: Path) -> Path:
    """Return what is cut of it."""
    return prunecli.apply_masks(run, out=run.with_name("cut")).out or Path()


def test_a_folder_that_was_rounded_is_proven_against_what_it_was_rounded_from(run: Path, cut: Path) -> None:
    half = prunecli.convert(cut, cut.with_name("half"), dtype="float16").out
    for reference in (cut, run):
        result = prunecli.verify_automodel(half, against=reference)
        (parity,) = (finding for finding in result.findings if finding.check == "parity")
        assert result.passed and parity.detail.endswith(f"against {reference} in float16")


def test_a_run_that_is_timed_as_the_smaller_model_is_noticed(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prunecli.benchmark("demo", str(run), rounds=3, batch_sizes=[1], lengths=[8])
    assert f"{run} is a run folder, not cut: its dense model is timed" in caplog.text


def test_what_is_near_a_run_is_told_from_it(run: Path, cut: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is in a run folder") as caught:
        prunecli.apply_masks(run / "model", out=tmp_path / "out")
    assert caught.value.fix == f"did you mean {run}?"
    with pytest.raises(InputError, match="is already cut"):
        prunecli.apply_masks(cut, out=tmp_path / "out")
    with pytest.raises(InputError, match="is a run folder, not a checkpoint") as caught:
        prunecli.train_masks(str(run), "demo", out=tmp_path / "out")
    assert caught.value.fix == f"its dense model is {run / 'model'}"


def test_gates_that_have_hardly_moved_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prunecli.train_masks("demo", "demo", out=tmp_path / "run", target_flops=0.3, num_epochs=1, **FAST)
    assert "30 % were asked: first scores decide the rest" in caplog.text


def test_columns_of_a_known_task_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"sentence": "good", "label": 1}\n' * 4)
    with pytest.raises(InputError, match="no kind of task is known") as caught:
        prunecli.train_masks("demo", str(tmp_path / "rows.jsonl"), out=tmp_path / "out", **FAST)
    assert str(caught.value.fix).startswith("cola and sst2 have such: name the task")
    with pytest.raises(InputError, match="has no train file") as caught:
        (tmp_path / "data" / "mine").mkdir(parents=True)
        (tmp_path / "rows.jsonl").rename(tmp_path / "data" / "mine" / "train.jsonl")
        prunecli.train_masks("demo", "sst2", data_dir=tmp_path / "data", out=tmp_path / "out", **FAST)
    assert caught.value.fix == "name one of the folders in it: mine"


def test_variables_and_percents_that_mean_something_else_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("TRAIN_MASKS_TARGET_FLOP", "TARGET_FLOPS", "REAL_DIR"):
        monkeypatch.setenv(f"PRUNECLI_{name}", "0.3")
    done = CliRunner().invoke(app, ["train-masks", "demo", "demo", "--max-drop", "1", "--json"])
    assert isinstance(done.exception, InputError) and done.exception.fix == "1 % is 0.01"
    assert json.loads(done.stdout)["error"]["fix"] == "1 % is 0.01"
    assert done.stderr.count("did you mean PRUNECLI_TRAIN_MASKS_TARGET_FLOPS?") == 2
    assert "REAL_DIR" not in done.stderr  # not everything that is called so is an option


def test_a_resumed_run_that_never_began_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    prunecli.train_masks("demo", "demo", out=tmp_path / "run", resume=True, max_steps=1, **FAST)
    assert "there is no interrupted run at" in caplog.text
