"""One JSON object a line, read and written; blank lines hold no record."""

import json
from collections.abc import Iterator
from typing import IO

from prunecli.checkpoints import strict_json
from prunecli.errors import InputError
from prunecli.inference.formats.base import Format, Reading, Record, decoded


def _read(file: IO[bytes], name: str) -> Iterator[Reading]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield strict_json.parse_object(decoded(line, number, name), f"{name} line {number}")
        except InputError as error:
            yield InputError(error.message, "each line must hold one JSON object")


def line_of(record: Record) -> bytes:
    """Return one line of UTF-8 JSON with its line end."""
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair: JSON can spell it, UTF-8 cannot
        return json.dumps(record).encode() + b"\n"


FORMAT = Format((".jsonl", ".ndjson", ".json"), _read)
