"""Which fields of a record hold its texts: known names, or those that the user names.

The first record decides for all, so that pairs and single texts never mix. Where a record has both fields of
a known pair, they go before any single field.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prunecli.errors import InputError
from prunecli.inference.formats.base import Reading
from prunecli.registry import nearest
from prunecli.tasks import tasks

SHOWN = 10  # field names that a message lists


def known_fields() -> list[tuple[str, ...]]:
    """Return the known names, pairs first: a task's columns, and those of texts and rankings in general."""
    names = [
        ("text", "text_pair"),
        ("query", "document"),
        ("text",),
        *(task.columns for task in tasks().values()),
    ]
    return sorted(dict.fromkeys(names), key=len, reverse=True)


def known_single_fields() -> list[tuple[str, ...]]:
    """Return the known names of single texts."""
    return [names for names in known_fields() if len(names) == 1]


def with_texts(records: Iterable[Reading], fields: tuple[str, ...] | None) -> Iterator[tuple[str, ...]]:
    """Yield the texts of each record.

    Args:
        records: What a file holds.
        fields: Fields with the texts; by known names where None.

    Raises:
        InputError: A record cannot be read or lacks a text; the message counts records from 1.
    """
    for number, record in enumerate(records, 1):
        if isinstance(record, InputError):
            raise record
        fields = fields or named_in(record, known_fields(), number)
        try:
            yield tuple(text_in(record, field) for field in fields)
        except InputError as error:
            raise InputError(f"record {number}: {error.message}", error.fix) from None


def with_named_fields(readings: Iterator[Reading], fields: tuple[str, ...]) -> Iterator[Reading]:
    """Pass records on; end it where the first one lacks a field that the user names, since then all will.

    Raises:
        InputError: It names the field, and the nearest one that there is.
    """
    for number, reading in enumerate(readings, 1):
        if not isinstance(reading, InputError):
            for field in fields:
                try:
                    value_in(reading, field)
                except InputError as error:
                    raise InputError(f"record {number}: {error.message}", error.fix) from None
            yield reading
            break
        yield reading
    yield from readings


def named_in(record: Mapping[str, Any], known: Iterable[tuple[str, ...]], number: int) -> tuple[str, ...]:
    """Return the first of some known names that a record has fields of; spans that predict wrote are none.

    Raises:
        InputError: It has none of them.
    """
    for names in known:
        if all(name in record and not _are_spans(record[name]) for name in names):
            return names
    raise InputError(
        f"record {number} has no field with a known name (it has {names_of(record)})",
        "say which fields hold the input with --fields A or --fields A,B, or name another --kind",
    )


def _are_spans(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping) and "start" in value[0]


def value_in(record: Mapping[str, Any], field: str) -> Any:
    """Return a field's value.

    Raises:
        InputError: The record has no such field.
    """
    if field not in record:
        raise InputError(
            f"no field {field!r} (it has {names_of(record)})",
            nearest(field, map(str, record))
            or "every record needs the same text fields; --fields says which they are",
        )
    return record[field]


def text_in(record: Mapping[str, Any], field: str) -> str:
    """Return a field's text.

    Raises:
        InputError: The field is missing or holds no text that can be encoded.
    """
    return as_text(value_in(record, field), field)


def as_text(value: Any, field: str) -> str:
    """Return a value that has to be text.

    Raises:
        InputError: It is something else, or holds half a character.
    """
    if not isinstance(value, str):
        raise InputError(
            f"field {field!r} holds {'nothing' if value is None else type(value).__name__}, not text",
            "--fields says which fields hold the text",
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"field {field!r} holds half a character (a lone surrogate)", "repair or remove it"
        ) from None
    return value


def names_of(record: Mapping[str, Any]) -> str:
    """Return the names of a record's first fields, for messages."""
    names = [str(name) for name in record]
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "") if names else "none"
