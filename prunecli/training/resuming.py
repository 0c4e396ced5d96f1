"""Where a run grows, and how it goes on after a kill.

A run grows in `OUT.partial` (trainer checkpoints, `config.json` with what was asked) and becomes `OUT` whole.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers.trainer_utils import get_last_checkpoint

from prunecli.checkpoints.atomic import check_target, partial_path, publish
from prunecli.checkpoints.run_folder import is_run
from prunecli.config import TrainMasksConfig
from prunecli.errors import InputError, TargetExistsError
from prunecli.fields import plain

ASKED = "config.json"
FREE = (
    "resume",
    "overwrite",
    "report_to",
    "wandb",
    "name",
    "log_loss_every",
)  # may differ between the parts of a run


def check_run_target(config: TrainMasksConfig) -> bool:
    """Refuse an output folder that stands, before any work is done.

    Returns:
        Whether the run is finished already and was asked to resume.

    Raises:
        TargetExistsError: A finished or an interrupted run stands there, and no option says what to do with it.
    """
    out = config.out_folder
    if config.resume and is_run(out):
        return True
    check_target(out, config.overwrite)
    if partial_path(out).exists() and not (config.resume or config.overwrite):
        raise TargetExistsError(
            f"an interrupted run stands at {partial_path(out)}",
            "add --resume to go on, or --overwrite to start over",
        )
    return False


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
    asked = {name: value for name, value in plain(asdict(config)).items() if name not in FREE}
    last = _last(work) if config.resume else None
    if last is not None:
        _check_same(work, asked)
    else:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / ASKED).write_text(json.dumps(asked), encoding="utf-8")
    try:
        yield work, last
    except BaseException:
        if _last(work) is None:
            shutil.rmtree(work, ignore_errors=True)
        raise


def finish(work: Path, target: Path) -> None:
    """Drop what only resuming needs, and let the run appear under its name."""
    for path in work.glob("checkpoint-*"):
        shutil.rmtree(path)
    (work / ASKED).unlink()
    publish(work, target)


def _last(work: Path) -> str | None:
    """Return the newest trainer checkpoint of a work folder."""
    found: str | None = get_last_checkpoint(str(work)) if work.is_dir() else None  # type: ignore[no-untyped-call]
    return found


def _check_same(work: Path, asked: dict[str, Any]) -> None:
    before = json.loads((work / ASKED).read_text(encoding="utf-8"))
    changed = [name for name, value in asked.items() if before.get(name) != value]
    if changed:
        raise InputError(
            f"{work} was started with {changed[0]} {before.get(changed[0])!r}, now it is {asked[changed[0]]!r}",
            "resume with the same options, or start over with --overwrite",
        )
