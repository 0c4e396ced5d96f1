"""A `predict --out FILE` that was interrupted: what it had done, and whether this run goes on with the same.

What was done stands in FILE.partial, the options that decide it beside that in FILE.partial.json. The files of a
checkpoint are not compared, only its place.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from prunecli.checkpoints.atomic import partial_path, read_asked
from prunecli.checkpoints.sole_writer import sole_writer
from prunecli.checkpoints.source import find_folder
from prunecli.config import PredictConfig
from prunecli.errors import InputError, TargetExistsError
from prunecli.fields import check_same, plain
from prunecli.inference.formats.base import Reading, Record
from prunecli.inference.formats.jsonl import line_of
from prunecli.inference.kinds.base import Kind
from prunecli.inference.stream import ERROR, renamed
from prunecli.inference.text_fields import named_in

FREE = (
    "source", "query", "document", "topics", "collection",  # the last record that was done is compared instead
    "batch_tokens", "device", "out", "resume", "fail_fast", "overwrite", "trust_remote_code",
)  # fmt: skip # may differ between the parts of a run


@dataclass(frozen=True, slots=True)
class Done:
    """What an interrupted run has written.

    Attributes:
        records: How many.
        errors: How many of them are errors.
        last: The last of them.
    """

    records: int = 0
    errors: int = 0
    last: Record | None = None


def asked_path(target: Path) -> Path:
    """Return where the options of a run stand while it is not whole."""
    return partial_path(target).with_suffix(".partial.json")


def asked_in(config: PredictConfig) -> dict[str, Any]:
    """Return the options that decide what comes out."""
    asked = {name: value for name, value in plain(asdict(config)).items() if name not in FREE}
    return {**asked, "checkpoint": str(find_folder(config.checkpoint).resolve())}


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


def check_same_run(target: Path, asked: dict[str, Any]) -> None:
    """Refuse to go on with other options than a run was started with.

    Raises:
        InputError: It names one of them.
    """
    partial, path = partial_path(target), asked_path(target)
    if not partial.is_file() or not partial.stat().st_size:
        return
    check_same(PredictConfig, partial, read_asked(path, partial), asked)


def done_before(target: Path) -> Done:
    """Return what an interrupted run has written; half a line is cut off."""
    partial = partial_path(target)
    if not partial.is_file():
        return Done()
    records, errors, size, last = 0, 0, 0, b"null"
    with partial.open("rb+") as file, sole_writer(partial):
        for line in file:
            if not line.endswith(b"\n"):
                break
            records, size, last = records + 1, size + len(line), line
            errors += f'"{ERROR}"'.encode() in line and ERROR in json.loads(line)  # parsing all takes long
        file.truncate(size)
    return Done(records, errors, json.loads(last))


def skip(
    readings: Iterator[Reading], done: Done, kind: Kind, fields: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """Leave out what was done before, and return the fields with the input: the first record decides for all.

    Raises:
        InputError: What was done was made of another input.
    """
    skipped, last = 0, None
    for skipped, last in enumerate(islice(readings, done.records), 1):
        if fields is None and not isinstance(last, InputError):
            fields = named_in(last, kind.known, skipped)
    if skipped < done.records or not _is_made_of(done.last, last, kind):
        raise InputError(
            f"record {done.records} of the input is not what the interrupted run read",
            "give the same input, or start anew without --resume",
        )
    return fields


def _is_made_of(done: Record | None, reading: Reading | None, kind: Kind) -> bool:
    if done is None or reading is None:
        return done is reading
    if isinstance(reading, InputError):
        return done.keys() == {ERROR}
    passed: Record = json.loads(line_of(renamed(reading, (*kind.writes, ERROR))))
    return passed.items() <= done.items()
