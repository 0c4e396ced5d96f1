"""Documents for a query: how they are taken from a record, and how results are put in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prunecli.errors import InputError
from prunecli.inference.formats.base import Record
from prunecli.inference.sentences import Span, joined
from prunecli.inference.text_fields import as_text, text_in, value_in

TITLE, TITLES = "title", "titles"
SINGLE, SEVERAL = (
    ("document", "context", "passage", "text"),
    ("documents", "contexts", "passages", "candidates"),
)
SENTENCES = "sentences"  # of one document or, as a list of lists, of several
KNOWN = [(query, name) for query in ("query", "question") for name in (*SEVERAL, SENTENCES, *SINGLE)]


@dataclass(frozen=True, slots=True)
class Document:
    """A text that may answer a query.

    Attributes:
        text: The text.
        title: Its title; empty where it has none.
        parts: Where its sentences are, if it came in sentences.
        name: Its id; None where it has none.
    """

    text: str
    title: str = ""
    parts: tuple[Span, ...] | None = None
    name: Any = None


@dataclass(frozen=True, slots=True)
class Question:
    """A query and its documents.

    Attributes:
        query: The query.
        documents: Its documents.
        several: Whether the record holds a list of them.
    """

    query: str
    documents: tuple[Document, ...]
    several: bool


def question_in(record: Record, fields: tuple[str, ...], presplit: bool) -> Question:
    """Take a query and one document or a list of them out of a record.

    A document is a text, a list of its sentences, or an object with `text` and, if need be, `title` and `id`. A list of
    texts is several documents, or one in sentences where `presplit` or the field's name says so.

    Raises:
        InputError: A field is missing or holds something else.
    """
    if len(fields) != 2:
        raise InputError("a query and a document are two fields", "write --fields QUERY,DOCUMENT")
    query, field = text_in(record, fields[0]), fields[1]
    value = value_in(record, field)
    presplit = presplit or field == SENTENCES
    one = not isinstance(value, list) or (presplit and all(isinstance(part, str) for part in value))
    documents = [_document(part, field) for part in ([value] if one else value)]
    titles = [record.get(TITLE)] if one else record.get(TITLES) or []
    if not isinstance(titles, list):
        raise InputError(f"field {TITLES!r} holds no list", "write one title a document")
    for number, title in enumerate(titles[: len(documents)]):
        if title and not documents[number].title:
            documents[number] = replace(documents[number], title=as_text(title, TITLE))
    return Question(query, tuple(documents), several=not one)


def _document(value: Any, field: str) -> Document:
    if isinstance(value, Mapping):
        found = _document(value.get("text"), f"{field} text")
        title = value.get(TITLE) or ""
        return replace(found, title=as_text(title, TITLE), name=value.get("id"))
    if isinstance(value, list):
        text, parts = joined([as_text(part, field) for part in value])
        return Document(text, parts=tuple(parts))
    return Document(as_text(value, field))


def best_first(documents: Sequence[Document], results: Sequence[Record]) -> list[Record]:
    """Return the results with their place in the list, the highest score first; ties and no scores keep the order."""
    named = [
        {"index": number, **({} if document.name is None else {"id": document.name}), **result}
        for number, (document, result) in enumerate(zip(documents, results, strict=True))
    ]
    return sorted(named, key=lambda result: -result.get("score", 0.0))
