"""A file of predictions that appears whole, and that an interrupted run can go on with.

Records are written to FILE.partial as JSONL, whatever the format: what is there at a kill are whole lines and at most
one half. When the last record has passed, the file gets its name, as Parquet where the suffix says so.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prunecli.checkpoints.atomic import partial_path
from prunecli.errors import InputError, TargetExistsError
from prunecli.inference.formats.base import Record
from prunecli.inference.formats.jsonl import line_of
from prunecli.inference.formats.parquet import write_parquet


def check_outside(target: Path, checkpoint: Path) -> None:
    """Refuse a file in the folder of a checkpoint, which stays as it was verified.

    Raises:
        InputError: It would stand there.
    """
    if target.resolve().is_relative_to(checkpoint.resolve()):
        raise InputError(f"{target} stands in the checkpoint {checkpoint}", "name another --out")


def check_file_target(target: Path, overwrite: bool) -> None:
    """Refuse a file that stands already or could not be written, before any work is done.

    Raises:
        TargetExistsError: It exists, and `overwrite` is false.
        InputError: It is no ordinary file, or its folder does not exist.
    """
    if target.exists() and not target.is_file():
        raise InputError(f"{target} is not an ordinary file", "name another --out")
    if target.exists() and not overwrite:
        raise TargetExistsError(
            f"{target} already exists", "name another --out, or add --overwrite to replace it"
        )
    if not target.parent.is_dir():
        raise InputError(f"{target.parent} is not a folder", "create it, or name another --out")


def check_no_interrupted_run(target: Path) -> None:
    """Refuse to lose what an interrupted run has done.

    Raises:
        TargetExistsError: Its file is there.
    """
    if partial_path(target).exists():
        raise TargetExistsError(
            f"an interrupted run stands at {partial_path(target)}",
            "add --resume to go on with it, or --overwrite to start anew",
        )


def done_before(target: Path) -> tuple[int, Record]:
    """Return how many records an interrupted run has written, and the last of them; half a line is cut off."""
    partial = partial_path(target)
    if not partial.is_file():
        return 0, {}
    count, size, last = 0, 0, b"{}"
    with partial.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            count, size, last = count + 1, size + len(line), line
        file.truncate(size)
    return count, json.loads(last)


def written(records: Iterable[Record], target: Path, resume: bool) -> Iterator[Record]:
    """Write records as they pass; the file gets its name when the last one has passed.

    Raises:
        InputError: The disk is full or not writable.
    """
    partial = partial_path(target)
    try:
        with partial.open("ab" if resume else "wb") as file:
            for record in records:
                file.write(line_of(record))
                yield record
            file.flush()
            os.fsync(file.fileno())
        _publish(partial, target)
    except OSError as error:
        raise InputError(
            f"{target} could not be written: {error.strerror or error}",
            f"free some space, then go on with --resume; {partial.name} holds what was done",
        ) from error
    finally:
        if partial.is_file() and not partial.stat().st_size:
            partial.unlink()


def _publish(partial: Path, target: Path) -> None:
    if target.suffix.lower() != ".parquet":
        partial.replace(target)
        return
    whole = partial_path(partial)
    try:
        write_parquet(partial, whole)
        whole.replace(target)
    finally:
        whole.unlink(missing_ok=True)
    partial.unlink()
