"""Extractive question answering: windows over long contexts, spans from logits, exact match and F1.

The score follows the published definition of SQuAD (Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250;
v2: https://arxiv.org/abs/1806.03822): answers are lower-cased, without punctuation, articles and extra
spaces; the best match over the reference answers counts; an unanswerable question is right when the
prediction is empty. Scores are shares in [0, 1].
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

STRIDE_SHARE = 3  # windows overlap by a third of their length
BEST = 20  # start and end candidates that are combined
MAX_ANSWER_TOKENS = 30
PUNCTUATION = frozenset(string.punctuation)

Rows = Mapping[str, Sequence[Any]]


def windows(tokenizer: Any, rows: Rows, max_length: int, labelled: bool) -> dict[str, list[Any]]:
    """Cut question-context pairs into overlapping windows.

    Args:
        tokenizer: A fast tokenizer.
        rows: `question`, `context` and `answers` columns.
        max_length: Tokens of one window, question included.
        labelled: Whether to add `start_positions` and `end_positions` (both 0, the first token, where a
            window does not hold the whole answer) instead of what `best_answers` needs.

    Returns:
        Model inputs by name, one entry a window, with `row` (number of the row) and `context_spans`
        ((start, end) characters of each token, (-1, -1) outside the context).
    """
    questions, longest = shortened(tokenizer, rows["question"], max_length // 2)
    room = max_length - longest - tokenizer.num_special_tokens_to_add(pair=True)
    encoded = tokenizer(
        questions,
        list(rows["context"]),
        truncation="only_second",
        max_length=max_length,
        stride=max(min(max_length // STRIDE_SHARE, room - 1), 0),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    row_of = encoded.pop("overflow_to_sample_mapping")
    offsets = encoded.pop("offset_mapping")
    spans = [
        [
            span if part == 1 else (-1, -1)
            for span, part in zip(offset, encoded.sequence_ids(number), strict=True)
        ]
        for number, offset in enumerate(offsets)
    ]
    features: dict[str, list[Any]] = dict(encoded)
    if labelled:
        targets = [_target(spans[number], rows["answers"][row]) for number, row in enumerate(row_of)]
        features["start_positions"] = [start for start, _ in targets]
        features["end_positions"] = [end for _, end in targets]
    else:
        features["row"] = list(row_of)
        features["context_spans"] = spans
    return features


def shortened(tokenizer: Any, questions: Sequence[str], limit: int) -> tuple[list[str], int]:
    """Cut questions to `limit` tokens, so that half of every window is context; return the longest's tokens."""
    limit = max(limit - tokenizer.num_special_tokens_to_add(pair=True), 1)
    texts = [question.strip() for question in questions]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    cut = [
        text[: offsets[limit - 1][1]] if len(offsets) > limit else text
        for text, offsets in zip(texts, encoded["offset_mapping"], strict=True)
    ]
    return cut, min(max(map(len, encoded["input_ids"])), limit)


def _target(spans: Sequence[tuple[int, int]], answers: Mapping[str, Sequence[Any]]) -> tuple[int, int]:
    """Return first and last token of the first answer, or (0, 0) if the window does not hold it."""
    if not answers["text"]:
        return 0, 0
    first = answers["answer_start"][0]
    last = first + len(answers["text"][0])
    start = next((index for index, (low, high) in enumerate(spans) if low <= first < high), None)
    end = next((index for index, (low, high) in enumerate(spans) if low < last <= high), None)
    return (0, 0) if start is None or end is None else (start, end)


def best_answers(
    starts: Sequence[npt.NDArray[np.float32]],
    ends: Sequence[npt.NDArray[np.float32]],
    features: Mapping[str, Sequence[Any]],
    contexts: Sequence[str],
    unanswerable: bool,
) -> list[str]:
    """Return the best span of each context over all its windows; empty where no answer scores higher.

    Args:
        starts: Start logits of each window, [tokens] (longer rows are padding and ignored).
        ends: End logits likewise.
        features: `row` and `context_spans` from `windows`.
        contexts: The text of each row.
        unanswerable: Whether the empty answer is allowed; its score is the lowest null score of the windows.
    """
    best: list[tuple[float, str]] = [(-np.inf, "")] * len(contexts)
    null = [np.inf] * len(contexts)
    for start, end, row, spans in zip(starts, ends, features["row"], features["context_spans"], strict=True):
        null[row] = min(null[row], float(start[0] + end[0]))
        score, (low, high) = _best_span(start[: len(spans)], end[: len(spans)], spans)
        if score > best[row][0]:
            best[row] = (score, contexts[row][low:high])
    return ["" if unanswerable and null[row] > score else text for row, (score, text) in enumerate(best)]


def _best_span(
    start: npt.NDArray[np.float32], end: npt.NDArray[np.float32], spans: Sequence[tuple[int, int]]
) -> tuple[float, tuple[int, int]]:
    found: tuple[float, tuple[int, int]] = (-np.inf, (0, 0))
    for first in np.argsort(-start)[:BEST]:
        for last in np.argsort(-end)[:BEST]:
            if first <= last < first + MAX_ANSWER_TOKENS and spans[first][0] >= 0 and spans[last][0] >= 0:
                score = float(start[first] + end[last])
                if score > found[0]:
                    found = (score, (spans[first][0], spans[last][1]))
    return found


def normalise(text: str) -> str:
    """Lower-case, drop punctuation and articles, fold spaces."""
    text = "".join(character for character in text.lower() if character not in PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """Return 1 if the prediction equals a reference after `normalise`, else 0."""
    return float(any(normalise(prediction) == normalise(reference) for reference in references or [""]))


def f1(prediction: str, references: Sequence[str]) -> float:
    """Return the best token overlap F1 with a reference."""
    return max(
        _overlap(normalise(prediction).split(), normalise(text).split()) for text in references or [""]
    )


def _overlap(predicted: list[str], reference: list[str]) -> float:
    if not predicted or not reference:
        return float(predicted == reference)
    common = sum((Counter(predicted) & Counter(reference)).values())
    return 2 * common / (len(predicted) + len(reference))


def score(predictions: Sequence[str], answers: Sequence[Mapping[str, Sequence[Any]]]) -> dict[str, float]:
    """Return mean F1 and exact match of predictions against the rows' `answers`."""
    # As in the script of v2: a reference of which nothing is left after `normalise` is none.
    references = ([text for text in answer["text"] if normalise(text)] for answer in answers)
    pairs = list(zip(predictions, references, strict=True))
    return {
        "f1": float(np.mean([f1(text, given) for text, given in pairs])),
        "exact_match": float(np.mean([exact_match(text, given) for text, given in pairs])),
    }
