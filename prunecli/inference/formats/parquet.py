"""Parquet, read by row groups; written from JSONL in two passes, so that memory stays constant."""

import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from prunecli.errors import InputError, words_of
from prunecli.inference.formats.base import Format, Reading
from prunecli.tasks.files import unreadable_parquet

ROWS = 1024  # that are in memory at once


def _read(file: IO[bytes], name: str) -> Iterator[Reading]:
    import pyarrow
    import pyarrow.parquet

    try:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(ROWS):
            yield from map(_plain, batch.to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable_parquet(name, error) from None


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it: times, decimals and bytes as text, what is no finite number as None."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def write_parquet(lines: Path, target: Path) -> None:
    """Turn JSONL into Parquet: once through the file for the types, once for the rows.

    Raises:
        InputError: A field holds what no column can hold, or values of kinds that none can hold together.
    """
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([])
    try:
        for rows in _batches(lines):
            found = pyarrow.Table.from_pylist(_with_all_fields(rows)).schema
            schema = pyarrow.unify_schemas([schema, found], promote_options="permissive")
        with pyarrow.parquet.ParquetWriter(target, schema) as writer:
            for rows in _batches(lines):
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
        raise InputError(
            f"the predictions cannot be written as Parquet: {words_of(error)}",
            f"write JSONL instead: they stand in {lines}",
        ) from None


def _batches(lines: Path) -> Iterator[list[dict[str, Any]]]:
    with lines.open("rb") as file:
        while rows := [_writable(line) for line in islice(file, ROWS)]:
            yield rows


def _writable(line: bytes) -> Any:
    """Return a record without halves of characters, which JSON can spell and UTF-8 cannot."""
    record = json.loads(line)
    return _with_whole_characters(record) if rb"\ud" in line.lower() else record


def _with_whole_characters(value: Any) -> Any:
    if isinstance(value, dict):
        return {_with_whole_characters(name): _with_whole_characters(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_whole_characters(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _with_all_fields(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give every row the fields of all: pyarrow takes the columns from the first."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


FORMAT = Format((".parquet",), _read)
