"""Documents for queries: which of their sentences are relevant, as labels of tokens, and how well that is found.

A document is tokenised after its query, in windows that do not overlap, each with the query. Every token of the
document belongs to one sentence, and is to be kept if that is relevant. A sentence is kept where the mean
probability of its tokens is over 0.5. A document is relevant if one of its sentences is, unless the data say it apart.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prunecli.tasks.labels import IGNORED
from prunecli.tasks.squad import shortened

OVER = 0.5  # probability over which a sentence is kept, or a document counts as relevant

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Document:
    """A document for a query.

    Attributes:
        query: The query.
        sentences: Its sentences, as they follow each other.
        relevant: Whether each of them is.
        judged: Whether the document is relevant, where the data say so beside their sentences.
        answers: What answers the query in it, where the data name no other documents that do not.
    """

    query: str
    sentences: tuple[str, ...]
    relevant: tuple[bool, ...]
    judged: bool | None = None
    answers: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return its sentences as one text."""
        return joined(self.sentences)[0]

    @property
    def is_relevant(self) -> bool:
        """Say whether the document is relevant."""
        return any(self.relevant) if self.judged is None else self.judged

    def window_is_relevant(self, labels: Sequence[int]) -> bool:
        """Say whether a window with these labels is: of a relevant document, all if no sentence says which are."""
        return self.is_relevant and (1 in labels or not any(self.relevant))


def joined(sentences: Sequence[str]) -> tuple[str, list[int]]:
    """Return one text with a space between sentences that have none, and where each of them starts."""
    text, starts = "", []
    for sentence in sentences:
        apart = not text or text[-1].isspace() or sentence[:1].isspace()
        text += "" if apart else " "
        starts.append(len(text))
        text += sentence
    return text, starts


def windows(tokenizer: Any, documents: Sequence[Document], max_length: int) -> dict[str, list[Any]]:
    """Cut documents into windows with their queries.

    Args:
        tokenizer: A fast tokenizer.
        documents: The documents; queries are cut to half a window.
        max_length: Tokens of one window.

    Returns:
        Model inputs by name, one entry a window, with `labels` (keep or not, -100 outside the document), `relevance`
        (of the window), `document` (its number) and `sentence` (of each token, -1 outside the document).
    """
    texts = [joined(document.sentences) for document in documents]
    queries, _ = shortened(tokenizer, [document.query for document in documents], max_length // 2)
    encoded = tokenizer(
        queries,
        [text for text, _ in texts],
        truncation="only_second",
        max_length=max_length,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    number_of = encoded.pop("overflow_to_sample_mapping")
    offsets = encoded.pop("offset_mapping")
    places = [
        [
            max(bisect_right(texts[number][1], stop - 1) - 1, 0) if side == 1 else -1
            for (_, stop), side in zip(offsets[window], encoded.sequence_ids(window), strict=True)
        ]
        for window, number in enumerate(number_of)
    ]
    labels = [
        [IGNORED if place < 0 else int(documents[number].relevant[place]) for place in row]
        for row, number in zip(places, number_of, strict=True)
    ]
    relevance = [
        float(documents[number].window_is_relevant(row))
        for row, number in zip(labels, number_of, strict=True)
    ]
    return {**encoded, "labels": labels, "relevance": relevance, "document": number_of, "sentence": places}


def score(
    keep: Floats,
    relevance: Floats | None,
    windows: Mapping[str, Sequence[Any]],
    documents: Sequence[Document],
) -> dict[str, float]:
    """Return the F1, precision and recall of kept sentences, and how well documents are told apart.

    Args:
        keep: Probability that each token is kept, [windows, tokens]; longer rows are padding and ignored.
        relevance: Probability that each window is relevant; where None, the highest of its document's sentences
            stands for it.
        windows: `document` and `sentence` from `windows`.
        documents: The documents.
    """
    kept = _sentences(keep, windows, documents)
    true = np.concatenate([document.relevant for document in documents])
    found = np.concatenate(kept) > OVER
    precision = float(true[found].mean()) if found.any() else 0.0
    recall = float(found[true].mean()) if true.any() else 0.0
    worth = np.array([row.max() for row in kept])
    if relevance is not None:
        worth = np.full(len(documents), -np.inf)
        np.maximum.at(worth, np.asarray(windows["document"]), relevance)
    relevant = np.array([document.is_relevant for document in documents])
    return {
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "precision": precision,
        "recall": recall,
        "passage_accuracy": float(np.mean((worth > OVER) == relevant)),
        "mrr": _reciprocal_rank([document.query for document in documents], worth, relevant),
    }


def _sentences(
    keep: Floats, windows: Mapping[str, Sequence[Any]], documents: Sequence[Document]
) -> list[Floats]:
    """Return the mean probability of each sentence's tokens; 0 where it has none."""
    sums = [np.zeros((2, len(document.sentences))) for document in documents]
    for row, number, sentence in zip(keep, windows["document"], windows["sentence"], strict=True):
        places = np.asarray(sentence)
        inside = places >= 0
        np.add.at(sums[number][0], places[inside], row[: len(places)][inside])
        np.add.at(sums[number][1], places[inside], 1.0)
    return [total / np.maximum(count, 1) for total, count in sums]


def _reciprocal_rank(queries: Sequence[str], worth: Floats, relevant: npt.NDArray[np.bool_]) -> float:
    """Return the mean of 1 / rank of the first relevant document, over queries that have one; ties count against it."""
    by_query: dict[str, list[int]] = {}
    for number, query in enumerate(queries):
        by_query.setdefault(query, []).append(number)
    found = []
    for rows in by_query.values():
        right, wrong = worth[rows][relevant[rows]], worth[rows][~relevant[rows]]
        if len(right):
            found.append(1 / (1 + int((wrong >= right.max()).sum())))
    return float(np.mean(found)) if found else 0.0
