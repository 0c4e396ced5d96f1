"""Records from a file or from standard input, one dict each, read as a stream.

The suffix tells the format. Without a known one (standard input, a pipe), the first line that is not blank
does: JSONL where it starts with `{`, else plain lines, each of which becomes `{"text": line}`. Blank lines
hold no record. CSV and TSV have a header line, Parquet has rows.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any

from prunecli.checkpoints import strict_json
from prunecli.errors import InputError
from prunecli.tasks.files import read_table

STDIN = "-"

Record = dict[str, Any]
Lines = Iterator[tuple[int, str]]  # line number from 1, text with its line end
Parse = Callable[[Lines, str], Iterator[Record]]


def read_records(source: str) -> Iterator[Record]:
    """Open a file, or standard input for `-`, and return its records as they are read.

    Raises:
        InputError: At once where there is no such file; while reading where a line is broken.
    """
    if source == STDIN:
        if sys.stdin is None:
            raise InputError("there is no standard input", "name a file")
        return _parse(sys.stdin.buffer, "standard input", suffix="")
    path = Path(source)
    if not path.exists():
        raise InputError(
            f"{source} does not exist",
            "name a JSONL, CSV, TSV, Parquet or text file, or - for standard input",
        )
    if path.is_dir():
        raise InputError(f"{source} is a folder", "name one of its files")
    if path.suffix.lower() == ".parquet":
        return (row for batch in read_table(path).to_batches() for row in batch.to_pylist())
    return _read_file(path)


def _read_file(path: Path) -> Iterator[Record]:
    try:
        with path.open("rb") as file:
            yield from _parse(file, str(path), path.suffix.lower())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _parse(file: IO[bytes], name: str, suffix: str) -> Iterator[Record]:
    lines = _decode(file, name)
    parse = PARSERS.get(suffix)
    if parse is None:
        first = next(((number, text) for number, text in lines if text.strip()), (0, ""))
        parse = _jsonl if first[1].lstrip().startswith("{") else _plain
        lines = chain([first], lines)
    return parse(lines, name)


def _decode(file: IO[bytes], name: str) -> Lines:
    for number, line in enumerate(file, 1):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InputError(
                f"{name} line {number} is not UTF-8 text", "save it as JSONL, CSV, TSV or text in UTF-8"
            ) from None


def _jsonl(lines: Lines, name: str) -> Iterator[Record]:
    for number, text in lines:
        if text.strip():
            try:
                yield strict_json.parse_object(text, f"{name} line {number}")
            except InputError as error:
                raise InputError(error.message, "each line must hold one JSON object") from None


def _plain(lines: Lines, name: str) -> Iterator[Record]:
    return ({"text": text.rstrip("\r\n")} for _, text in lines if text.strip())


def _table(lines: Lines, name: str, delimiter: str) -> Iterator[Record]:
    rows = csv.reader((text for _, text in lines), delimiter=delimiter, strict=True)
    try:
        header = next((row for row in rows if row), [])
        if len(set(header)) < len(header):
            twice = next(column for column in header if header.count(column) > 1)
            raise InputError(f"{name}: the header names column {twice!r} twice", "rename one of them")
        for row in rows:
            if row and len(row) != len(header):
                raise InputError(
                    f"{name} line {rows.line_num} has {len(row)} cells, the header has {len(header)}",
                    "put quotes around cells that hold the separator",
                )
            if row:
                yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(
            f"{name} line {rows.line_num}: {error}", "check its quotes, or write JSONL instead"
        ) from None


PARSERS: dict[str, Parse] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _jsonl,
    ".csv": partial(_table, delimiter=","),
    ".tsv": partial(_table, delimiter="\t"),
    ".txt": _plain,
}
