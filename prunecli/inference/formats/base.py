"""What a format of input is: suffixes, and a function from bytes to records."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from prunecli.errors import InputError

Record = dict[str, Any]
Reading = Record | InputError  # what a broken line leaves behind: the lines after it can still be read
Lines = Iterator[tuple[int, str]]  # line number from 1, text with its line end


@dataclass(frozen=True, slots=True)
class Format:
    """How records are read from files of some suffixes.

    Attributes:
        suffixes: Suffixes in lower case.
        read: (the open file, what messages call it) -> its records, as a stream.
    """

    suffixes: tuple[str, ...]
    read: Callable[[IO[bytes], str], Iterator[Reading]]


def decoded(line: bytes, number: int, name: str) -> str:
    """Return a line as text.

    Raises:
        InputError: It is not UTF-8.
    """
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise InputError(
            f"{name} line {number} is not UTF-8 text", "save it as JSONL, CSV, TSV or text in UTF-8"
        ) from None


def check_readable(path: Path) -> None:
    """Refuse what is no file.

    Raises:
        InputError: There is nothing, or a folder.
    """
    if not path.exists():
        raise InputError(
            f"{path} does not exist",
            "name a JSONL, CSV, TSV, Parquet, text or TREC run file, or - for standard input",
        )
    if path.is_dir():
        raise InputError(f"{path} is a folder", "name one of its files")
