"""Long texts in overlapping windows: where they lie, what stands around the text in each, which token is judged where.

A row is a frame with a piece of the text in it: `[CLS] query [SEP] PIECE [SEP]`. The frame is what the tokenizer itself
puts around a pair, so any tokenizer will do. A token that lies in two windows is judged in the one that shows more of
what stands around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from prunecli.errors import InputError
from prunecli.inference.kinds.base import Row

PLACEHOLDER = "a"  # any text of one token or more
Spans = list[tuple[int, int]]  # characters of each token


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of a text.

    Attributes:
        start: Its first token.
        stop: One past its last.
        first: The first token that is judged in it.
        last: One past the last of them.
    """

    start: int
    stop: int
    first: int
    last: int


def pieces(tokens: int, room: int, overlap: float) -> list[Piece]:
    """Cut a text into windows; the last one is as long as the others.

    Args:
        tokens: Its length.
        room: Tokens of a window.
        overlap: Share of a window that the next one repeats.
    """
    step = max(room - int(room * overlap), 1)
    starts = [*range(0, max(tokens - room, 0), step), max(tokens - room, 0)]
    ends = [(start + before + room) // 2 for before, start in pairwise(starts)]
    bounds = [0, *ends, tokens]
    return [
        Piece(start, min(start + room, tokens), bounds[number], bounds[number + 1])
        for number, start in enumerate(starts)
    ]


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a text in a row, by the name of the input.

    Attributes:
        head: Before it, with the query of a pair.
        filling: The value at each of its tokens; `input_ids` have none.
        tail: After it.
    """

    head: dict[str, list[int]]
    filling: dict[str, int]
    tail: dict[str, list[int]]

    @property
    def tokens(self) -> int:
        """Return how many tokens it takes itself."""
        return len(self.head["input_ids"]) + len(self.tail["input_ids"])

    def row(self, ids: Sequence[int], aside: Any = None) -> Row:
        """Put token ids into the frame."""
        return Row(
            {
                name: before
                + (list(ids) if name == "input_ids" else [self.filling[name]] * len(ids))
                + self.tail[name]
                for name, before in self.head.items()
            },
            aside,
        )


def frames(tokenizer: PreTrainedTokenizerBase, queries: Sequence[str] | None) -> list[Frame]:
    """Return the frame of each query's pairs; one of a single text where there are no queries.

    Raises:
        InputError: The tokenizer does not say which text a token is of.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} cannot say where a token stands", "take a fast one")
    texts = ([PLACEHOLDER],) if queries is None else (list(queries), [PLACEHOLDER] * len(queries))
    encoded = tokenizer(*texts, verbose=False)
    names = [name for name in tokenizer.model_input_names if name in encoded]
    side = 0 if queries is None else 1
    return [
        _frame({name: encoded[name][row] for name in names}, encoded.sequence_ids(row), side)
        for row in range(len(texts[0]))
    ]


def _frame(inputs: dict[str, list[int]], sides: list[int | None], side: int) -> Frame:
    start = sides.index(side)
    stop = len(sides) - sides[::-1].index(side)
    return Frame(
        head={name: values[:start] for name, values in inputs.items()},
        filling={name: values[start] for name, values in inputs.items() if name != "input_ids"},
        tail={name: values[stop:] for name, values in inputs.items()},
    )


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text in tokens, without special ones.

    Attributes:
        ids: Token ids.
        spans: Characters of each, without the white space that some tokenizers count to it.
        words: The tokenizer's word that each is of.
    """

    ids: list[int]
    spans: Spans
    words: list[int | None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row's tokens are those of a text.

    Attributes:
        piece: The window.
        start: The row's first token of the text.
        tokens: The whole text in tokens.
        document: The text's number among those of its record.
    """

    piece: Piece
    start: int
    tokens: Tokens
    document: int = 0


def tokens_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Tokens]:
    """Tokenise texts for a frame."""
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return [
        Tokens(ids, [_bare(text, *span) for span in encoded["offset_mapping"][row]], encoded.word_ids(row))
        for row, (text, ids) in enumerate(zip(texts, encoded["input_ids"], strict=True))
    ]


def _bare(text: str, start: int, stop: int) -> tuple[int, int]:
    piece = text[start:stop]
    return start + len(piece) - len(piece.lstrip()), stop


def shortened(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], most: int) -> list[str]:
    """Cut texts to a number of tokens."""
    return [
        text if len(tokens.ids) <= most else text[: tokens.spans[most - 1][1]]
        for text, tokens in zip(texts, tokens_of(tokenizer, texts), strict=True)
    ]


def judged(values: Tensor, piece: Piece, start: int) -> Tensor:
    """Return of a row's values those of the tokens that are judged in it.

    Args:
        values: One a token of the row, [T, ...].
        piece: The window.
        start: The row's first token of the text.
    """
    first = start - piece.start
    return values[first + piece.first : first + piece.last]
