"""CSV and TSV with a header line; quotes around cells that hold a separator or a line end."""

import csv
from collections.abc import Iterator
from functools import partial
from typing import IO

from prunecli.errors import InputError
from prunecli.inference.formats.base import Format, Reading, decoded

csv.field_size_limit(2**30)  # a cell may hold a long document; the default is 128 KiB


def _read(file: IO[bytes], name: str, delimiter: str) -> Iterator[Reading]:
    lines = (decoded(line, number, name) for number, line in enumerate(file, 1))
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next((row for row in rows if row), [])
        if len(set(header)) < len(header):
            twice = next(column for column in header if header.count(column) > 1)
            raise InputError(f"{name}: the header names column {twice!r} twice", "rename one of them")
        for row in rows:
            if row and len(row) != len(header):
                yield InputError(
                    f"{name} line {rows.line_num} has {len(row)} cells, the header has {len(header)}",
                    "put quotes around cells that hold the separator",
                )
            elif row:
                yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(
            f"{name} line {rows.line_num}: {error}", "check its quotes, or write JSONL instead"
        ) from None


CSV = Format((".csv",), partial(_read, delimiter=","))
TSV = Format((".tsv",), partial(_read, delimiter="\t"))
