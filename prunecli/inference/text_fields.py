"""Which fields of a record hold its texts: known names, or those that the user names.

The first record decides for all, so that pairs and single texts never mix. Where a record has both fields of
a known pair, they go before any single field.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prunecli.errors import InputError
from prunecli.inference.records import Record
from prunecli.tasks import tasks

SHOWN = 10  # field names that a message lists


@dataclass(frozen=True, slots=True)
class Item:
    """A record and its texts: one, or two for a pair."""

    record: Record
    texts: tuple[str, ...]


def known_fields() -> list[tuple[str, ...]]:
    """Return the known names, pairs first: a task's columns, and those of texts and rankings in general."""
    names = [
        ("text", "text_pair"),
        ("query", "document"),
        ("text",),
        *(task.columns for task in tasks().values()),
    ]
    return sorted(dict.fromkeys(names), key=len, reverse=True)


def parse_fields(asked: str | None) -> tuple[str, ...] | None:
    """Split what `--fields` names.

    Raises:
        InputError: It names neither one nor two fields.
    """
    if asked is None:
        return None
    fields = tuple(field.strip() for field in asked.split(","))
    if not all(fields) or len(fields) > 2:
        raise InputError(
            f"--fields {asked!r} must name one field, or two", "write --fields A or --fields A,B"
        )
    return fields


def with_texts(records: Iterable[Mapping[str, Any]], fields: tuple[str, ...] | None) -> Iterator[Item]:
    """Yield each record with its texts.

    Args:
        records: Any mappings.
        fields: Fields with the texts; by known names where None.

    Raises:
        InputError: A record is no mapping, or lacks a text; the message counts records from 1.
    """
    for number, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            raise InputError(
                f"record {number} is a {type(record).__name__}, not a mapping of fields", 'pass {"text": ...}'
            )
        if fields is None:
            fields = _known_in(record, number)
        yield Item(dict(record), tuple(_text(record, field, number) for field in fields))


def _known_in(record: Mapping[str, Any], number: int) -> tuple[str, ...]:
    for names in known_fields():
        if all(name in record for name in names):
            return names
    raise InputError(
        f"record {number} has no field with a known name (it has {_names(record)})",
        "say which fields hold the text with --fields A or --fields A,B",
    )


def _text(record: Mapping[str, Any], field: str, number: int) -> str:
    if field not in record:
        raise InputError(
            f"record {number} has no field {field!r} (it has {_names(record)})",
            "every record needs the same text fields; --fields says which they are",
        )
    text = record[field]
    if not isinstance(text, str):
        raise InputError(
            f"record {number}: field {field!r} holds {type(text).__name__}, not text",
            "--fields says which fields hold the text",
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"record {number}: field {field!r} holds half a character (a lone surrogate)",
            "repair or remove it",
        ) from None
    return text


def _names(record: Mapping[str, Any]) -> str:
    names = [str(name) for name in record]
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "") if names else "none"
