"""Which sentences stay: those over a threshold, the best few, the best within a budget of tokens."""

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
    """

    start: int
    stop: int
    probability: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a selection besides the threshold.

    Attributes:
        top: Sentences at most.
        tokens: Tokens at most.
        least: Sentences at least, whatever their probability; the budget goes first.
    """

    top: int | None = None
    tokens: int | None = None
    least: int = 0


def selected(sentences: Sequence[Sentence], threshold: float, limits: Limits) -> list[bool]:
    """Say of each sentence whether it stays.

    Sentences are taken from the best down. One that would burst the budget is passed over, and smaller ones after it
    may still fit. Of two that are as good, the earlier goes first.
    """
    order = sorted(range(len(sentences)), key=lambda number: -sentences[number].probability)
    kept, tokens = set[int](), 0
    for number in order[: limits.top]:
        sentence = sentences[number]
        wanted = sentence.probability > threshold or len(kept) < limits.least
        fits = limits.tokens is None or tokens + sentence.tokens <= limits.tokens
        if wanted and fits:
            kept.add(number)
            tokens += sentence.tokens
    return [number in kept for number in range(len(sentences))]


def text_of(text: str, starts: Sequence[int], kept: Sequence[bool]) -> str:
    """Join what stays of the parts that start at some characters; white space behind a part goes with it."""
    stops = [*starts, len(text)][1:]
    parts = [text[start:stop] for start, stop, stays in zip(starts, stops, kept, strict=True) if stays]
    return "".join(parts).strip()
