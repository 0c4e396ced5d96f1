"""Records from a file or from standard input, one dict each, read as a stream; one file a format.

The suffix tells the format. Without a known one (standard input, a pipe), the first line that is not blank
does: JSONL where it starts with `{` or `[{`, else plain lines. A line that cannot be read comes out as an error in its
place where what follows can still be read.
"""

import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, cast

from prunecli.errors import InputError
from prunecli.inference.formats import delimited, jsonl, parquet, plain
from prunecli.inference.formats.base import Reading, Record, check_readable

__all__ = ["STDIN", "Reading", "Record", "read_records"]

STDIN = "-"
JSON = re.compile(
    rb"\{|\[\s*(\{|$)"
)  # an object, or an array of them, of which JSONL has to say that it is none
FORMATS = (jsonl.FORMAT, delimited.CSV, delimited.TSV, parquet.FORMAT, plain.FORMAT)


def read_records(source: str) -> Iterator[Reading]:
    """Open a file, or standard input for `-`, and return its records as they are read.

    Raises:
        InputError: At once where there is no such file; while reading where the rest of a file cannot be read.
    """
    if source == STDIN:
        if sys.stdin is None:
            raise InputError("there is no standard input", "name a file")
        return _from_stdin()
    check_readable(Path(source))
    return _from_file(Path(source))


def _from_stdin() -> Iterator[Reading]:
    # Not sys.stdin: Python closes that at its end, and aborts where a thread still waits in it.
    with open(0, "rb", closefd=False) as file:
        yield from _told_by_content(file, "standard input")


def _from_file(path: Path) -> Iterator[Reading]:
    known = {suffix: format.read for format in FORMATS for suffix in format.suffixes}
    read = known.get(path.suffix.lower(), _told_by_content)
    try:
        with path.open("rb") as file:
            yield from read(file, str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _told_by_content(file: IO[bytes], name: str) -> Iterator[Reading]:
    skipped = []
    for line in file:
        skipped.append(line)
        if line.strip():
            break
    first = skipped[-1].removeprefix(b"\xef\xbb\xbf").lstrip() if skipped else b""
    format = jsonl.FORMAT if JSON.match(first) else plain.FORMAT
    return format.read(cast(IO[bytes], chain(skipped, file)), name)
