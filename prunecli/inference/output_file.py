"""A file of predictions that appears whole, and that an interrupted run can go on with.

Records are written to FILE.partial as JSONL, whatever the format: what is there at a kill are whole lines and at most
one half. When the last record has passed, the file gets its name, as Parquet or TREC run where the suffix says so.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prunecli.checkpoints.atomic import partial_path, write_file
from prunecli.checkpoints.sole_writer import sole_writer
from prunecli.config.predict import TREC
from prunecli.errors import InputError, TargetExistsError
from prunecli.inference.formats.base import Record
from prunecli.inference.formats.jsonl import line_of
from prunecli.inference.formats.parquet import write_parquet
from prunecli.inference.formats.trec import write_run
from prunecli.inference.interrupted_run import asked_path

CONVERTED = {".parquet": write_parquet, **dict.fromkeys(TREC, write_run)}  # made of the JSONL at the end


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


def written(
    records: Iterable[Record], target: Path, asked: dict[str, Any], resume: bool, overwrite: bool
) -> Iterator[Record]:
    """Write records as they pass; the file gets its name when the last one has passed.

    Args:
        records: What to write.
        target: The file.
        asked: Options that decide what comes out; they stand beside it until it is whole.
        resume: Whether to go on behind what stands there.
        overwrite: Whether to replace a whole file.

    Raises:
        InputError: The disk is full or not writable, or another command is writing the file.
    """
    partial, reading = partial_path(target), False  # an error of the reader is not one of the file
    try:
        partial.touch()
        with sole_writer(partial):
            try:
                check_file_target(target, overwrite)  # once more: another run may have ended since
                with partial.open("ab" if resume else "wb") as file:
                    write_file(asked_path(target), json.dumps(asked))
                    reading = True
                    for record in records:
                        reading = False
                        file.write(line_of(record))
                        reading = True
                        yield record
                    reading = False
                    file.flush()
                    os.fsync(file.fileno())
                _publish(partial, target)
            finally:
                if partial.is_file() and not partial.stat().st_size:
                    partial.unlink()
                if not partial.exists():
                    asked_path(target).unlink(missing_ok=True)
    except OSError as error:
        if reading:
            raise
        raise InputError(
            f"{target} could not be written: {error.strerror or error}",
            f"free some space, then go on with --resume; {partial.name} holds what was done",
        ) from error


def _publish(partial: Path, target: Path) -> None:
    convert = CONVERTED.get(target.suffix.lower())
    if convert is None:
        partial.replace(target)
        return
    whole = partial_path(partial)
    try:
        convert(partial, whole)
        whole.replace(target)
    finally:
        whole.unlink(missing_ok=True)
    partial.unlink()
