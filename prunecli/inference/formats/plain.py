"""Plain lines: each that is not blank becomes `{"text": line}`."""

from collections.abc import Iterator
from typing import IO

from prunecli.errors import InputError
from prunecli.inference.formats.base import Format, Reading, decoded


def _read(file: IO[bytes], name: str) -> Iterator[Reading]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield {"text": decoded(line, number, name).rstrip("\r\n")}
            except InputError as error:
                yield error


FORMAT = Format((".txt",), _read)
