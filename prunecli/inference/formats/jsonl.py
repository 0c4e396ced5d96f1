"""One JSON object a line, read and written; blank lines hold no record."""

import json
from collections.abc import Iterator
from typing import IO

from prunecli.checkpoints import strict_json
from prunecli.errors import InputError
from prunecli.inference.formats.base import Format, Reading, Record, decoded


def _read(file: IO[bytes], name: str) -> Iterator[Reading]:
    first = True
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        if first and line.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
            raise InputError(
                f"{name} holds one JSON array, not an object a line",
                "write JSONL, an object a line: `jq -c '.[]'` makes it of the array",
            )
        first = False
        try:
            yield strict_json.parse_object(decoded(line, number, name), f"{name} line {number}")
        except InputError as error:
            yield InputError(error.message, "each line must hold one JSON object")


def line_of(record: Record) -> bytes:
    """Return one line of UTF-8 JSON with its line end.

    Raises:
        InputError: A field holds what JSON has no word for, such as NaN or a date.
    """
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair: JSON can spell it, UTF-8 cannot
        return json.dumps(record).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{_unwritable(record)} cannot be written as JSON: {error}", "make it text, or leave it out"
        ) from None


def _unwritable(record: Record) -> str:
    for name, value in record.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            return f"field {name!r}"
    return "the name of a field"


FORMAT = Format((".jsonl", ".ndjson", ".json"), _read)
