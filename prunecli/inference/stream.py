"""Records in, predictions out, in order and in constant memory.

A thread reads and tokenises the next window of records while the model works on the last. A window is as many rows as
make batches of like length; a record that cannot be used goes through it as an error.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from prunecli.errors import InputError
from prunecli.inference.ahead import ahead
from prunecli.inference.batching import Batcher
from prunecli.inference.formats.base import Reading, Record
from prunecli.inference.kinds.base import Kind, Outputs, Row
from prunecli.inference.text_fields import named_in

CHUNK = 64  # records that the tokenizer gets at once
WINDOW_ROWS, WINDOW_TOKENS = 2048, 1_000_000  # enough of either makes a window
ERROR = "error"


@dataclass(frozen=True, slots=True)
class Item:
    """A record on its way.

    Attributes:
        record: Its fields; none where it could not be read.
        given: What the kind took out of them.
        error: Why there is nothing; None where all is well.
    """

    record: Record
    given: Any
    error: InputError | None = None


Encoded = tuple[Item, list[Row]]
Window = list[Encoded]


def encoded_ahead(
    readings: Iterable[Reading], kind: Kind, fields: tuple[str, ...] | None
) -> Iterator[Window]:
    """Yield windows of records in rows; a thread makes the next one while this one is used.

    Args:
        readings: The input.
        kind: What is predicted.
        fields: Fields with the input; by known names where None. The first record decides for all.

    Raises:
        InputError: The first record has no field with a known name.
    """
    return ahead(_windows(_encoded(_items(readings, kind, fields), kind)))


def predictions(
    windows: Iterable[Window], kind: Kind, batcher: Batcher, seen: Counter[str]
) -> Iterator[Record]:
    """Yield each record with what is predicted of it, or with the field `error`.

    Args:
        windows: Of `encoded_ahead`.
        kind: What is predicted.
        batcher: The model.
        seen: Counts `records` and `errors`.
    """
    taken = (*kind.writes, ERROR)
    for window in windows:
        outputs = iter(batcher.forward([row for _, rows in window for row in rows]))
        for item, rows in window:
            found = _decoded(kind, item, rows, list(islice(outputs, len(rows))))
            seen["records"] += 1
            seen["errors"] += ERROR in found
            yield {**renamed(item.record, taken), **found}


def renamed(record: Record, taken: tuple[str, ...]) -> Record:
    """Give fields whose names the prediction takes another name, so that labels of labelled data are kept."""
    kept = {}
    for name, value in record.items():
        free = name
        while free in taken or (free != name and free in record):
            free = f"input_{free}"
        kept[free] = value
    return kept


def _items(readings: Iterable[Reading], kind: Kind, fields: tuple[str, ...] | None) -> Iterator[Item]:
    for number, reading in enumerate(readings, 1):
        if isinstance(reading, InputError):
            yield Item({}, None, reading)
            continue
        fields = fields or named_in(reading, kind.known, number)
        try:
            yield Item(reading, kind.parse(reading, fields))
        except InputError as error:
            yield Item(reading, None, error)


def _encoded(items: Iterator[Item], kind: Kind) -> Iterator[Encoded]:
    while chunk := list(islice(items, CHUNK)):
        rows = iter(kind.encode([item.given for item in chunk if item.error is None]))
        yield from ((item, next(rows) if item.error is None else []) for item in chunk)


def _windows(encoded: Iterator[Encoded]) -> Iterator[Window]:
    window: Window = []
    rows, tokens = 0, 0
    for one in encoded:
        window.append(one)
        rows, tokens = rows + max(len(one[1]), 1), tokens + sum(row.tokens for row in one[1])
        if rows >= WINDOW_ROWS or tokens >= WINDOW_TOKENS:
            yield window
            window, rows, tokens = [], 0, 0
    if window:
        yield window


def _decoded(kind: Kind, item: Item, rows: list[Row], outputs: list[Outputs | None]) -> Record:
    if item.error is not None:
        return {ERROR: item.error.message}
    whole = [output for output in outputs if output is not None]
    if len(whole) < len(outputs):
        return {ERROR: f"{max(row.tokens for row in rows)} tokens do not fit into memory; lower --max-length"}
    try:
        return kind.decode(item.given, rows, whole)
    except InputError as error:
        return {ERROR: error.message}
