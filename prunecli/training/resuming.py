"""Where a run grows, and how it goes on after a kill.

A run grows in `OUT.partial` (trainer checkpoints, `config.json` with what was asked) and becomes `OUT` whole.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import PartialState

from prunecli.checkpoints.atomic import check_target, partial_path, publish, read_asked, write_file
from prunecli.checkpoints.run_folder import is_run, read_record
from prunecli.checkpoints.sole_writer import check_free, claimed_folder, sole_writer
from prunecli.config import TrainMasksConfig, contradictions
from prunecli.errors import InputError, TargetExistsError, mend, words_of
from prunecli.fields import check_same, plain

log = logging.getLogger(__name__)

ASKED = "config.json"
ENOUGH = 1_000_000  # bytes: a disk with less is what made a write fail
FREE = (
    "out",  # the folder is the same one, however it is spelled
    "resume",
    "overwrite",
    "dry_run",
    "strict",
    "report_to",
    "wandb",
    "name",
    "log_loss_every",
)  # may differ between the parts of a run


def is_finished(config: TrainMasksConfig) -> bool:
    """Say whether a run that is asked to resume stands there whole.

    Raises:
        InputError: It was made with other options.
    """
    if not config.resume or not is_run(config.out_folder):
        return False
    check_same(
        TrainMasksConfig, config.out_folder, read_record(config.out_folder).get("config", {}), _asked(config)
    )
    return True


def check_run_target(config: TrainMasksConfig) -> None:
    """Refuse an output folder that stands, before model and data are fetched and read.

    Raises:
        TargetExistsError: A finished or an interrupted run stands there, and no option says what to do with it.
        InputError: Another command is writing there, or a run that begins has options that nothing would read.
    """
    out, work = config.out_folder, partial_path(config.out_folder)
    if is_finished(config):
        return
    check_target(out, config.overwrite or config.dry_run)
    check_free(work)
    if is_run(work) and not config.overwrite:
        raise TargetExistsError(
            f"{work} is a whole run that could not get its name",
            f"rename it to {out}, or add --overwrite to start over",
        )
    if config.resume and _last(work) is None:
        contradictions.check_read(config)
    if work.exists() and not (config.resume or config.overwrite or config.dry_run):
        raise TargetExistsError(
            f"an interrupted run stands at {work}", "add --resume to go on, or --overwrite to start over"
        )


@contextmanager
def work_folder(config: TrainMasksConfig) -> Iterator[tuple[Path, str | None]]:
    """Make the folder in which the run grows, or find the one of the same run.

    When the block fails before a trainer checkpoint was written, nothing is left behind.

    Yields:
        The folder, and the trainer checkpoint to go on from, if there is one.

    Raises:
        InputError: The interrupted run was started with other options.
    """
    work = partial_path(config.out_folder)
    with ExitStack() as held:
        with PartialState().main_process_first():  # the first process makes the folder, the others find it
            last = _open(work, config, held)
        try:
            yield work, last
        except BaseException as error:
            full = work.is_dir() and shutil.disk_usage(work).free < ENOUGH
            if is_run(work):
                log.warning("the run is whole, but could not get its name: %s", work)
            elif newest := _last(work):
                log.warning("the run stopped; the same command with --resume goes on from %s", newest)
            else:
                shutil.rmtree(work, ignore_errors=True)
                if isinstance(error, KeyboardInterrupt):
                    log.warning("nothing is kept: the same command starts anew")
            if full and isinstance(error, Exception):
                raise InputError(f"no space left for {work}", "free some, then --resume") from error
            raise


def finish(work: Path, target: Path) -> None:
    """Drop what only resuming needs, and let the run appear under its name."""
    for path in work.glob("checkpoint-*"):
        shutil.rmtree(path)
    (work / ASKED).unlink()
    try:
        publish(work, target)
    except OSError as error:
        raise InputError(
            f"{target} could not be written: {words_of(error)}", f"the run is whole: give {work} that name"
        ) from error


def _open(work: Path, config: TrainMasksConfig, held: ExitStack) -> str | None:
    """Find the interrupted run's folder and last checkpoint, or make an empty folder; the first process holds it."""
    first, asked = PartialState().is_main_process, _asked(config)
    last = _last(work) if config.resume or not first else None
    if last is not None:
        check_same(TrainMasksConfig, work, read_asked(work / ASKED, work), asked)
        log.info("going on from %s", last)
    elif first and config.resume:
        log.info("there is no interrupted run at %s: it starts from the beginning", work)
    if first:
        try:
            held.enter_context(claimed_folder(work) if last is None else sole_writer(work))
            check_target(config.out_folder, config.overwrite)  # once more: another run may have ended since
            if last is None:
                write_file(work / ASKED, json.dumps(asked))
        except OSError as error:
            raise InputError(f"{work} could not be made: {words_of(error)}", mend(error)) from None
    return last


def _last(work: Path) -> str | None:
    """Return the newest whole trainer checkpoint; its state file is the last that the Trainer writes."""
    whole = [path.parent for path in work.glob("checkpoint-*/trainer_state.json") if path.stat().st_size]
    numbers = {path.name.removeprefix("checkpoint-"): path for path in whole}
    steps = {int(number): path for number, path in numbers.items() if number.isdecimal()}
    return str(steps[max(steps)]) if steps else None


def _asked(config: TrainMasksConfig) -> dict[str, Any]:
    """Return the options that decide what comes out."""
    return {name: value for name, value in plain(asdict(config)).items() if name not in FREE}
