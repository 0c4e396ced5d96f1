"""Where the sentences of a document are, as characters: `text[start:stop]` is the sentence.

sentencex (MIT, Wikimedia) finds them: rules for some 300 languages in one compiled file, no model, no download, and
what it returns covers the text character by character. Parts that are only white space are no sentences.
"""

from collections.abc import Sequence

import sentencex

Span = tuple[int, int]  # first character, and one past the last


def sentences_in(text: str, language: str) -> list[Span]:
    """Return the sentences of a text."""
    found = sentencex.get_sentence_boundaries(language, text)
    return _bare(text, [(part["start_index"], part["end_index"]) for part in found])


def lines_in(text: str) -> list[Span]:
    """Return the lines of a text."""
    return _bare(text, _in_order(text.splitlines(keepends=True)))


def joined(parts: Sequence[str]) -> tuple[str, list[Span]]:
    """Put sentences that are split already together, and return where they are.

    A space goes between two that would touch.
    """
    whole = [
        part if not before or before[-1].isspace() or part[:1].isspace() else f" {part}"
        for before, part in zip(["", *parts], parts, strict=False)
    ]
    text = "".join(whole)
    return text, [_strip(text, *span) for span in _in_order(whole)]


def _in_order(parts: Sequence[str]) -> list[Span]:
    """Return the characters of parts that follow each other."""
    spans, start = [], 0
    for part in parts:
        spans.append((start, start + len(part)))
        start += len(part)
    return spans


def _bare(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return spans without the white space around them; those of nothing else are left out."""
    stripped = (_strip(text, *span) for span in spans)
    return [(start, stop) for start, stop in stripped if stop > start]


def _strip(text: str, start: int, stop: int) -> Span:
    part = text[start:stop]
    left = len(part) - len(part.lstrip())
    return start + left, start + max(len(part.rstrip()), left)
