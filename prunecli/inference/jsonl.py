"""Records as JSON lines: bytes for a stream, or a file that appears whole or not at all."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prunecli.checkpoints.atomic import partial_path
from prunecli.errors import InputError, TargetExistsError
from prunecli.inference.records import Record


def line_of(record: Record) -> bytes:
    """Return one line of UTF-8 JSON with its line end."""
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair: JSON can spell it, UTF-8 cannot
        return json.dumps(record).encode() + b"\n"


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


def written(records: Iterable[Record], target: Path) -> Iterator[Record]:
    """Write records as they pass; the file gets its name when the last one has passed.

    Raises:
        InputError: The disk is full or not writable; nothing is left behind.
    """
    partial = partial_path(target)
    try:
        with partial.open("wb") as file:
            for record in records:
                file.write(line_of(record))
                yield record
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise InputError(
            f"{target} could not be written: {error.strerror or error}",
            "free some space or name another --out; nothing was left behind",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
