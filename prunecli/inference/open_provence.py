"""Sentences as `OpenProvenceModel.process` judges them, for those who come from there.

What differs from ours, and is wrong or worse: sentences are tokenised each alone, packed into blocks without overlap,
and a sentence's probability is the mean of its fragments' means, however long they are. Where nothing is kept, the
score is 0. (Its spans behind a title are shifted; titles are refused here instead.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prunecli.inference.document_reader import Reading, best_scores, framed, mean, spans_in
from prunecli.inference.documents import Document, Question
from prunecli.inference.kinds.base import Outputs, Row, Setting
from prunecli.inference.selection import Sentence, characters_of
from prunecli.inference.windows import Frame, tokens_of

SHORTEST = 16  # tokens of a fragment


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a sentence.

    Attributes:
        sentence: The sentence's number.
        ids: Its token ids.
    """

    sentence: int
    ids: list[int]


@dataclass(frozen=True, slots=True)
class Block:
    """Fragments in one row.

    Attributes:
        document: The document's number.
        start: The row's first token of the document.
        fragments: What stands there.
    """

    document: int
    start: int
    fragments: tuple[Fragment, ...]


class OpenProvenceReader:
    """Reads documents in blocks of whole fragments.

    Args:
        setting: Tokenizer, length and options.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def rows(self, questions: Sequence[Question]) -> list[list[Row]]:
        """Return the rows of each question."""
        setting = self.setting
        around = framed(
            setting.tokenizer, [one.query for one in questions], setting.max_length, setting.count
        )
        return [
            [
                row
                for number, document in enumerate(question.documents)
                for row in self._blocks(around[question.query], number, document)
            ]
            for question in questions
        ]

    def _blocks(self, frame: Frame, number: int, document: Document) -> Iterator[Row]:
        room = self.setting.max_length - frame.tokens
        block: list[Fragment] = []
        for fragment in self._fragments(document):
            if block and sum(len(one.ids) for one in block) + len(fragment.ids) > room:
                yield _row(frame, number, block)
                block = []
            block.append(Fragment(fragment.sentence, fragment.ids[:room]))
        yield _row(frame, number, block)

    def _fragments(self, document: Document) -> Iterator[Fragment]:
        size = max(SHORTEST, self.setting.max_length // 2)
        texts = [document.text[start:stop] for start, stop in spans_in(document, self.setting.options)]
        for number, tokens in enumerate(tokens_of(self.setting.tokenizer, texts)):
            for start in range(0, len(tokens.ids), size):
                yield Fragment(number, tokens.ids[start : start + size])

    def read(self, given: Question, rows: Sequence[Row], outputs: Sequence[Outputs]) -> list[Reading]:
        """Return what was said of each document of a question."""
        scores = best_scores(len(given.documents), rows, outputs)
        said = list(zip(rows, outputs, strict=True))
        found = []
        for number, document in enumerate(given.documents):
            own = [
                (row.aside, output["keep"].numpy()) for row, output in said if row.aside.document == number
            ]
            sentences = self._sentences(document, own)
            found.append(Reading(scores[number], sentences, sum(one.tokens for one in sentences)))
        return found

    def _sentences(self, document: Document, blocks: Sequence[tuple[Block, np.ndarray]]) -> list[Sentence]:
        spans = spans_in(document, self.setting.options)
        means: list[list[float]] = [[] for _ in spans]
        tokens = [0] * len(spans)
        for block, keep in blocks:
            start = block.start
            for fragment in block.fragments:
                means[fragment.sentence].append(mean(keep[start : start + len(fragment.ids)]))
                tokens[fragment.sentence] += len(fragment.ids)
                start += len(fragment.ids)
        lengths = characters_of(document.text, [start for start, _ in spans])
        return [
            Sentence(*span, sum(parts) / len(parts) if parts else 0.0, count, characters)
            for span, parts, count, characters in zip(spans, means, tokens, lengths, strict=True)
        ]


def _row(frame: Frame, document: int, fragments: Sequence[Fragment]) -> Row:
    start = len(frame.head["input_ids"])
    ids = [token for fragment in fragments for token in fragment.ids]
    return frame.row(ids, Block(document, start, tuple(fragments)))
