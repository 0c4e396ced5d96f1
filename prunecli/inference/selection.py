"""Which sentences stay: those over a threshold, the best few, the best within a budget of tokens or characters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a document.

    Attributes:
        start: Its first character.
        stop: One past its last.
        probability: Mean probability of its tokens that they shall be kept; each token counts once.
        tokens: How many they are.
        characters: Its own and the white space behind it.
    """

    start: int
    stop: int
    probability: float
    tokens: int
    characters: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a selection besides the threshold.

    Attributes:
        top: Sentences at most.
        tokens: Tokens at most.
        characters: Characters at most.
        least: Sentences at least, whatever their probability; the budgets go first.
    """

    top: int | None = None
    tokens: int | None = None
    characters: int | None = None
    least: int = 0


def selected(sentences: Sequence[Sentence], threshold: float, limits: Limits) -> list[bool]:
    """Say of each sentence whether it stays.

    Sentences are taken from the best down. One that would burst the budget is passed over, and smaller ones after it
    may still fit. Of two that are as good, the earlier goes first.
    """
    order = sorted(range(len(sentences)), key=lambda number: -sentences[number].probability)
    kept = set[int]()
    tokens = math.inf if limits.tokens is None else limits.tokens
    characters = math.inf if limits.characters is None else limits.characters
    for number in order[: limits.top]:
        sentence = sentences[number]
        wanted = sentence.probability > threshold or len(kept) < limits.least
        if wanted and sentence.tokens <= tokens and sentence.characters <= characters:
            kept.add(number)
            tokens -= sentence.tokens
            characters -= sentence.characters
    return [number in kept for number in range(len(sentences))]


def text_of(text: str, starts: Sequence[int], kept: Sequence[bool]) -> str:
    """Join what stays of the parts that start at some characters; white space behind a part goes with it."""
    parts = [
        text[start:stop] for (start, stop), stays in zip(_parts(text, starts), kept, strict=True) if stays
    ]
    return "".join(parts).strip()


def characters_of(text: str, starts: Sequence[int]) -> list[int]:
    """Return how many characters each of the parts brings into what `text_of` joins."""
    return [stop - start for start, stop in _parts(text, starts)]


def _parts(text: str, starts: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(starts, [*starts, len(text)][1:], strict=True))
