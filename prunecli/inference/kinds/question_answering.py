"""The part of a text that answers a question, as in SQuAD.

    answer       the part; empty where there is none (`--no-answer`)
    start, end   `context[start:end]` is the answer; null where there is none
    score        probability of its first and its last token, multiplied
    score_raw    sum of their logits

Both scores are null where the text is empty, unless `--no-answer` scores that there is none.
A long text is read in windows; the best span of all counts. Shape suffixes: T tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from prunecli.checkpoints.folder import Checkpoint
from prunecli.errors import InputError
from prunecli.inference.document_reader import DocumentReader
from prunecli.inference.documents import SINGLE, Question, question_in
from prunecli.inference.formats.base import Record
from prunecli.inference.kinds.base import Kind, Outputs, Row, Setting
from prunecli.inference.windows import Place
from prunecli.tasks.squad import MAX_ANSWER_TOKENS

KNOWN = [(query, name) for query in ("question", "query") for name in SINGLE]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The best span of a row.

    Attributes:
        raw: Sum of the logits of its ends.
        score: Product of their probabilities.
        start: Its first character.
        stop: One past its last.
        none_raw: Sum of the logits that say that there is no answer.
        none_score: Product of their probabilities.
    """

    raw: float
    score: float
    start: int
    stop: int
    none_raw: float
    none_score: float


class QuestionAnswering(Kind):
    """Answers that stand in a text."""

    known = KNOWN
    writes = ("answer", "start", "end", "score", "score_raw")
    options = ("no_answer", "overlap")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.reader = DocumentReader(setting)

    @classmethod
    def is_meant(cls, checkpoint: Checkpoint) -> bool:
        """Say whether it finds spans."""
        return (checkpoint.architecture or "").endswith("ForQuestionAnswering")

    can = is_meant

    def parse(self, record: Record, fields: tuple[str, ...]) -> Question:
        """Take question and text out of a record; a `title` is left alone, for no such model was trained with it."""
        found = question_in({name: record[name] for name in fields if name in record}, fields, presplit=True)
        if found.several:
            raise InputError(f"field {fields[1]!r} holds several texts", "write a record each")
        return found

    def encode(self, inputs: Sequence[Question]) -> list[list[Row]]:
        """Return the rows of each question."""
        return self.reader.rows(inputs)

    def outputs(self, found: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the logits of first and last tokens, [rows, T]."""
        return {name: found[name].float() for name in ("start_logits", "end_logits")}

    def decode(self, given: Question, rows: Sequence[Row], outputs: Sequence[Outputs]) -> Record:
        """Return the best span, or that there is none."""
        found = [_best(row.aside, output, row.tokens) for row, output in zip(rows, outputs, strict=True)]
        best = max(found, key=lambda candidate: candidate.raw)
        nothing = min(found, key=lambda candidate: candidate.none_raw)
        empty = best.start == best.stop  # no text, or nothing but white space
        if self.setting.options.no_answer and (empty or nothing.none_raw > best.raw):
            scores = {"score": nothing.none_score, "score_raw": nothing.none_raw}
            return {"answer": "", "start": None, "end": None, **scores}
        if empty:
            return {"answer": "", "start": None, "end": None, "score": None, "score_raw": None}
        answer = given.documents[0].text[best.start : best.stop]
        return {
            "answer": answer, "start": best.start, "end": best.stop, "score": best.score, "score_raw": best.raw,
        }  # fmt: skip


def _best(place: Place, output: Outputs, tokens: int) -> Candidate:
    """Find the best span of one row; the first token stands for no answer."""
    own = slice(place.start, place.start + place.piece.stop - place.piece.start)
    start_T, end_T = (output[name].numpy()[:tokens] for name in ("start_logits", "end_logits"))
    allowed = [0, *range(own.start, own.stop)]
    start_p, end_p = _softmax(start_T[allowed]), _softmax(end_T[allowed])
    none_raw, none_score = float(start_T[0] + end_T[0]), float(start_p[0] * end_p[0])
    if own.start == own.stop:
        return Candidate(-np.inf, 0.0, 0, 0, none_raw, none_score)
    first, last = _span(start_T[own], end_T[own])
    spans = place.tokens.spans[place.piece.start : place.piece.stop]
    return Candidate(
        raw=float(start_T[own][first] + end_T[own][last]),
        score=float(start_p[first + 1] * end_p[last + 1]),
        start=spans[first][0],
        stop=spans[last][1],
        none_raw=none_raw,
        none_score=none_score,
    )


def _span(start_T: Logits, end_T: Logits) -> tuple[int, int]:
    """Return the first and last token of the span with the highest sum that is not too long."""
    sums = [
        np.where(np.arange(len(end_T)) < len(end_T) - more, start_T + np.roll(end_T, -more), -np.inf)
        for more in range(min(MAX_ANSWER_TOKENS, len(end_T)))
    ]
    more, first = divmod(int(np.argmax(sums)), len(start_T))
    return first, first + more


def _softmax(values: Logits) -> Logits:
    shifted = np.exp(values - values.max())
    found: Logits = shifted / shifted.sum()
    return found


KIND = QuestionAnswering
