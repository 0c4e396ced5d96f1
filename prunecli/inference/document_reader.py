"""How a query's documents are read: rows for the model, then a score and sentences with their probabilities.

A row is `[query] [title] [window of the document]`; the title stands in every window, and its tokens are never counted
as the document's. Shape suffixes: R rows, L labels, T tokens, K prune and keep.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from prunecli.config import PredictConfig
from prunecli.inference.activation import activated
from prunecli.inference.documents import Document, Question
from prunecli.inference.kinds.base import Outputs, Row, Setting
from prunecli.inference.selection import Sentence, characters_of
from prunecli.inference.sentences import Span, lines_in, sentences_in
from prunecli.inference.windows import Frame, Place, Tokens, frames, judged, pieces, shortened, tokens_of
from prunecli.models.modeling_pruning_encoder import KEEP

SHOWN = "shown"
RANKING = ("score", "score_raw", SHOWN)  # of a row, where the model ranks


class DocumentEncoder:
    """Makes rows of queries and documents.

    Args:
        tokenizer: A fast tokenizer.
        max_length: Tokens of a row.
        overlap: Share of a window that the next one repeats.
        count: Called where a query is cut.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        overlap: float,
        count: Callable[[str], None] = lambda what: None,
    ) -> None:
        self.tokenizer, self.max_length, self.overlap, self.count = tokenizer, max_length, overlap, count

    def rows(self, questions: Sequence[Question]) -> list[list[Row]]:
        """Return the rows of each question, document after document."""
        queries = [question.query for question in questions]
        around = framed(self.tokenizer, queries, self.max_length, self.count)
        flat = [document for question in questions for document in question.documents]
        tokens = iter(self._tokens(flat))
        return [
            [
                row
                for number, _ in enumerate(question.documents)
                for row in self._windows(around[question.query], number, *next(tokens))
            ]
            for question in questions
        ]

    def _tokens(self, documents: Sequence[Document]) -> list[tuple[list[int], Tokens]]:
        """Return each document's title and text in tokens, tokenised as one text."""
        titles = [f"{document.title}\n" if document.title else "" for document in documents]
        texts = [title + document.text for title, document in zip(titles, documents, strict=True)]
        return [
            _apart(found, len(title))
            for title, found in zip(titles, tokens_of(self.tokenizer, texts), strict=True)
        ]

    def _windows(self, frame: Frame, number: int, title: list[int], text: Tokens) -> list[Row]:
        around = len(frame.head["input_ids"])
        title = title[: max((self.max_length - frame.tokens) // 2, 0)]
        room = max(self.max_length - frame.tokens - len(title), 1)
        return [
            frame.row(
                title + text.ids[piece.start : piece.stop],
                Place(piece, around + len(title), text, number),
            )
            for piece in pieces(len(text.ids), room, self.overlap)
        ]


def framed(
    tokenizer: PreTrainedTokenizerBase, queries: Sequence[str], max_length: int, count: Callable[[str], None]
) -> dict[str, Frame]:
    """Return the frame of each query, which is cut so that half of a row is left for the document."""
    distinct = list(dict.fromkeys(queries))
    if not distinct:
        return {}
    special = tokenizer.num_special_tokens_to_add(pair=True)  # as in training
    cut = shortened(tokenizer, distinct, max(max_length // 2 - special, 1))
    too_long = {query for query, short in zip(distinct, cut, strict=True) if short != query}
    for query in queries:
        if query in too_long:
            count("queries_cut")
    return dict(zip(distinct, frames(tokenizer, cut), strict=True))


def _apart(found: Tokens, title: int) -> tuple[list[int], Tokens]:
    """Part a title of so many characters from the text behind it, whose characters then count from 0."""
    first = next((number for number, (_, stop) in enumerate(found.spans) if stop > title), len(found.ids))
    spans = [(max(start - title, 0), stop - title) for start, stop in found.spans[first:]]
    return found.ids[:first], Tokens(found.ids[first:], spans, found.words[first:])


def relevance(logits_RL: Tensor, activation: str = "auto") -> dict[str, Tensor]:
    """Return how relevant a document is, [R]: `score` from 0 to 1, and the logit, of several labels the last one's.

    `score` is what documents and windows are ranked by. Another activation is `shown` in its place, and ranks nothing:
    a sigmoid looks at one label alone, and another order comes of it.
    """
    logits_RL = logits_RL.float()
    usual = "sigmoid" if logits_RL.shape[-1] == 1 else "softmax"
    found = {"score": activated(logits_RL, "auto", usual)[:, -1], "score_raw": logits_RL[:, -1]}
    shown = {} if activation == "auto" else {SHOWN: activated(logits_RL, activation, usual)[:, -1]}
    return found | shown


def keep_and_rank(found: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return of a PruningEncoder's outputs `keep` [R, T], and its `relevance` where it has a ranking.

    Its classes call them by what auto classes expect: `logits` is the ranking of the one for sequences, the pruning of
    the one for tokens, which train-masks writes.
    """
    for_sequences = "pruning_logits" in found
    pruning_RTK = found["pruning_logits" if for_sequences else "logits"].float()
    ranking_RL = found["logits"] if for_sequences else found.get("ranking_logits")
    keep = {"keep": pruning_RTK.softmax(-1)[..., KEEP]}
    return keep | ({} if ranking_RL is None else relevance(ranking_RL))


def best_scores(documents: int, rows: Sequence[Row], outputs: Sequence[Outputs]) -> list[dict[str, float]]:
    """Return the `relevance` of each document's best row; nothing where the model has no ranking."""
    best: list[dict[str, float]] = [{} for _ in range(documents)]
    for row, output in zip(rows, outputs, strict=True):
        if "score" in output:
            found = {name: output[name].item() for name in RANKING if name in output}
            own = best[row.aside.document]
            if not own or found["score"] > own["score"]:
                own |= found
    return best


def token_probabilities(
    documents: int, rows: Sequence[Row], outputs: Sequence[Outputs]
) -> list[tuple[Tokens, npt.NDArray[np.float32]]]:
    """Return each document in tokens, with the probability that a token shall be kept."""
    keep: list[list[npt.NDArray[np.float32]]] = [[] for _ in range(documents)]
    tokens: list[Tokens] = [rows[0].aside.tokens] * documents
    for row, output in zip(rows, outputs, strict=True):
        place: Place = row.aside
        keep[place.document].append(judged(output["keep"], place.piece, place.start).numpy())
        tokens[place.document] = place.tokens
    return [(text, np.concatenate(parts)) for text, parts in zip(tokens, keep, strict=True)]


def spans_in(document: Document, options: PredictConfig) -> Sequence[Span]:
    """Return what of a document is kept as a whole: its parts where it came in parts, else what is asked for."""
    if document.parts is not None:
        return document.parts
    if options.split == "lines":
        return lines_in(document.text)
    return sentences_in(document.text, options.language)


def mean(keep: npt.NDArray[np.float32]) -> float:
    """Return the mean of a sentence's tokens; 0 where it has none."""
    return float(keep.mean()) if len(keep) else 0.0


def lower_median(keep: npt.NDArray[np.float32]) -> float:
    """Return what is over a threshold exactly if more than half of the tokens are; 0 where there are none.

    The rounding of Provence (https://arxiv.org/abs/2501.16214).
    """
    return float(np.sort(keep)[(len(keep) - 1) // 2]) if len(keep) else 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says of one document.

    Attributes:
        scores: `score` and `score_raw`; empty where the model has no ranking.
        sentences: Its sentences.
        tokens: How many tokens it has.
    """

    scores: dict[str, float]
    sentences: list[Sentence]
    tokens: int


class DocumentReader:
    """Reads documents as a pair each, in overlapping windows.

    Args:
        setting: Tokenizer, length and options.
        judge: What makes one probability of those of a sentence's tokens.
    """

    def __init__(self, setting: Setting, judge: Callable[[npt.NDArray[np.float32]], float] = mean) -> None:
        self.options, self.judge = setting.options, judge
        self.rows = DocumentEncoder(
            setting.tokenizer, setting.max_length, setting.options.overlap, setting.count
        ).rows

    def read(self, given: Question, rows: Sequence[Row], outputs: Sequence[Outputs]) -> list[Reading]:
        """Return what was said of each document of a question."""
        documents = given.documents
        scores = best_scores(len(documents), rows, outputs)
        tokens = token_probabilities(len(documents), rows, outputs)
        return [
            Reading(score, self._sentences(document, text, keep), len(text.ids))
            for document, score, (text, keep) in zip(documents, scores, tokens, strict=True)
        ]

    def _sentences(self, document: Document, text: Tokens, keep: npt.NDArray[np.float32]) -> list[Sentence]:
        starts, stops = np.array(text.spans, dtype=np.int64).reshape(-1, 2).T
        spans = spans_in(document, self.options)
        lengths = characters_of(document.text, [start for start, _ in spans])
        found = []
        for (start, stop), characters in zip(spans, lengths, strict=True):
            own = keep[np.searchsorted(stops, start, "right") : np.searchsorted(starts, stop, "left")]
            found.append(Sentence(start, stop, self.judge(own), len(own), characters))
        return found
