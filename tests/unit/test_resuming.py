"""A run grows beside its target, and goes on only with the options that it was started with."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from prunecli.checkpoints.run_folder import NEEDED
from prunecli.config import TrainMasksConfig
from prunecli.errors import InputError, TargetExistsError
from prunecli.fields import plain
from prunecli.training import resuming
from prunecli.training.resuming import check_run_target, finish, is_finished, work_folder


def config(out: Path, **values: Any) -> TrainMasksConfig:
    """Return a config that writes to a folder."""
    return TrainMasksConfig.of({"model": "bert", "task": "qqp", "out": out, **values})


def trainer_checkpoint(work: Path, step: int, state: str = "{}") -> Path:
    """Write a trainer checkpoint; its state file is the last that the Trainer writes."""
    folder = work / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(state)
    return folder


def interrupted(out: Path, **values: Any) -> Path:
    """Leave behind what a kill leaves after the first trainer checkpoint."""
    with pytest.raises(KeyboardInterrupt), work_folder(config(out, **values)) as (work, _):
        trainer_checkpoint(work, 5)
        raise KeyboardInterrupt
    return work


def test_a_failure_before_the_first_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError), work_folder(config(tmp_path / "run")):
        raise InputError("bad rows")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_is_kept_and_found_again(tmp_path: Path) -> None:
    interrupted(tmp_path / "run")
    with work_folder(config(tmp_path / "run", resume=True)) as (work, last):
        assert last == str(work / "checkpoint-5")


def test_the_newest_trainer_checkpoint_is_taken(tmp_path: Path) -> None:
    work = interrupted(tmp_path / "run")
    newest = trainer_checkpoint(work, 10)
    with work_folder(config(tmp_path / "run", resume=True)) as (_, last):
        assert last == str(newest)


def test_a_trainer_checkpoint_that_is_not_whole_is_passed_over(tmp_path: Path) -> None:
    work = interrupted(tmp_path / "run")
    (work / "checkpoint-10").mkdir()  # killed before the state file was there
    trainer_checkpoint(work, 15, state="")  # killed before it was filled
    with work_folder(config(tmp_path / "run", resume=True)) as (_, last):
        assert last == str(work / "checkpoint-5")


def test_without_resume_the_run_starts_over(tmp_path: Path) -> None:
    interrupted(tmp_path / "run")
    with work_folder(config(tmp_path / "run", overwrite=True)) as (work, last):
        assert last is None
        assert not (work / "checkpoint-5").exists()


def test_resuming_with_another_option_names_it(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", seed=1)
    with (
        pytest.raises(InputError, match="was started with --seed 1, now it is 2"),
        work_folder(config(tmp_path / "run", seed=2, resume=True)),
    ):
        pass
    assert (tmp_path / "run.partial" / "checkpoint-5").is_dir()


def test_options_that_change_no_result_may_change(tmp_path: Path) -> None:
    interrupted(tmp_path / "run")
    with work_folder(config(tmp_path / "run", resume=True, name="again", log_loss_every=1)) as (_, last):
        assert last is not None


def test_a_finished_run_holds_nothing_of_the_training(tmp_path: Path) -> None:
    with work_folder(config(tmp_path / "run")) as (work, _):
        trainer_checkpoint(work, 5)
        (work / "masks").write_text("x")
        finish(work, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["masks"]


def test_an_interrupted_run_asks_what_to_do(tmp_path: Path) -> None:
    interrupted(tmp_path / "run")
    with pytest.raises(TargetExistsError, match="an interrupted run stands at") as raised:
        check_run_target(config(tmp_path / "run"))
    assert "--resume" in str(raised.value.fix)
    assert not check_run_target(config(tmp_path / "run", resume=True))
    assert not check_run_target(config(tmp_path / "run", overwrite=True))


def test_a_finished_run_is_resumed_by_doing_nothing(tmp_path: Path) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    made = {"config": plain(asdict(config(tmp_path / "run"))), "result": dict.fromkeys(NEEDED)}
    (tmp_path / "run" / "run.json").write_text(json.dumps(made))
    assert is_finished(config(tmp_path / "run", resume=True))
    check_run_target(config(tmp_path / "run", resume=True))
    with pytest.raises(InputError, match=r"was started with --seed .*, now it is 3"):
        is_finished(config(tmp_path / "run", resume=True, seed=3))
    with pytest.raises(TargetExistsError):
        check_run_target(config(tmp_path / "run"))


def test_a_run_that_is_under_way_is_neither_resumed_nor_replaced(tmp_path: Path) -> None:
    with work_folder(config(tmp_path / "run")) as (work, _):
        trainer_checkpoint(work, 5)
        for more in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(InputError, match="another command is writing"):
                check_run_target(config(tmp_path / "run", **more))
            with (
                pytest.raises(InputError, match="another command is writing"),
                work_folder(config(tmp_path / "run", **more)),
            ):
                pass
        assert (work / "checkpoint-5").is_dir()
        finish(work, tmp_path / "run")


def test_a_whole_run_outlives_a_swap_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(staging: Path, target: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(resuming, "publish", fail)
    with (
        pytest.raises(
            InputError, match=r"resource busy\nhint: the run is whole: give .*run\.partial that name"
        ),
        work_folder(config(tmp_path / "run")) as (work, _),
    ):
        (work / "model").mkdir()
        (work / "run.json").write_text("{}")
        finish(work, tmp_path / "run")
    assert (tmp_path / "run.partial" / "run.json").is_file()
    for more in ({}, {"resume": True}):
        with pytest.raises(TargetExistsError, match="is a whole run that could not get its name"):
            check_run_target(config(tmp_path / "run", **more))


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_what_an_interrupted_run_asked_for_may_be_lost(text: str | None, tmp_path: Path) -> None:
    work = interrupted(tmp_path / "run")
    (work / "checkpoint-best").mkdir()
    (work / "checkpoint-best" / "trainer_state.json").write_text("{}")
    if text is None:
        (work / "config.json").unlink()
    else:
        (work / "config.json").write_text(text)
    with (
        pytest.raises(InputError, match=r"run\.partial cannot be resumed: .*config\.json"),
        work_folder(config(tmp_path / "run", resume=True)),
    ):
        pass
    assert (work / "checkpoint-5").is_dir()


def test_a_plan_goes_on_with_the_same_run(tmp_path: Path) -> None:
    interrupted(tmp_path / "run")
    with work_folder(config(tmp_path / "run", resume=True, dry_run=True)) as (_, last):
        assert last is not None


def test_a_run_that_begins_is_told_of_options_that_nothing_reads(tmp_path: Path) -> None:
    asked = config(tmp_path / "run", resume=True, recovery_lr=1.0)
    with pytest.raises(InputError, match="--recovery-lr has no effect"):
        check_run_target(asked)
    (tmp_path / "run.partial").mkdir()
    trainer_checkpoint(tmp_path / "run.partial", 5)
    check_run_target(asked)
