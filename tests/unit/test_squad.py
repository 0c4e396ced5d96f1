"""Question answering: the published score, windows that point at the answer, spans found again."""

import re
import string
from collections import Counter
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from prunecli.tasks import squad
from tests import tiny

CONTEXT = (
    "we saw it on monday and it was not very good . " * 4 + "kavya wrote the plot . " + "it was dull . " * 6
)
ANSWER = "kavya wrote"
ROWS: dict[str, Any] = {
    "question": [" who wrote the plot", "when was it good"],
    "context": [CONTEXT, "the film was good on monday"],
    "answers": [
        {"text": [ANSWER, "kavya"], "answer_start": [CONTEXT.index(ANSWER), CONTEXT.index(ANSWER)]},
        {"text": [], "answer_start": []},
    ],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat!", "cat"),
        ("a  cat\tand an owl", "cat and owl"),
        ("U.S.A.", "usa"),
        ("theatre, another", "theatre another"),
        ("the", ""),
        ("mother-in-law's", "motherinlaws"),
    ],
)
def test_answers_are_normalised_as_published(text: str, expected: str) -> None:
    assert squad.normalise(text) == expected


@pytest.mark.parametrize(
    ("prediction", "references", "em", "f1"),
    [
        ("the Denver Broncos", ["Denver Broncos"], 1, 1),
        ("Broncos", ["Denver Broncos"], 0, 2 / 3),
        ("Denver Broncos team", ["Denver Broncos"], 0, 0.8),
        ("gold", ["golden anniversary", "gold"], 1, 1),
        ("to to to", ["to"], 0, 0.5),
        ("Carolina", ["Denver"], 0, 0),
        ("", [], 1, 1),
        ("Denver", [], 0, 0),
        ("", ["Denver"], 0, 0),
    ],
)
def test_scores_are_those_of_the_published_definition(
    prediction: str, references: list[str], em: float, f1: float
) -> None:
    assert squad.exact_match(prediction, references) == em
    assert squad.f1(prediction, references) == pytest.approx(f1)


def published(prediction: str, truths: list[str]) -> tuple[float, float]:
    """Return exact match and F1 as the task's own script computes them (evaluate-v1.1.py, here in short)."""

    def plain(text: str) -> str:
        text = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    def overlap(truth: str) -> float:
        said, meant = plain(prediction).split(), plain(truth).split()
        same = sum((Counter(said) & Counter(meant)).values())
        if same == 0:
            return 0
        precision, recall = same / len(said), same / len(meant)
        return 2 * precision * recall / (precision + recall)

    return max(float(plain(prediction) == plain(truth)) for truth in truths), max(map(overlap, truths))


def test_random_answers_score_as_in_the_published_script() -> None:
    random = np.random.default_rng(0)
    words = ["the", "The", "film", "film.", "a", "an", "dull-ish", "ADA", "ada's", "1,000", "1000", "monday"]
    for _ in range(300):
        texts = [" ".join(random.choice(words, random.integers(1, 5))) + " end" for _ in range(4)]
        prediction, truths = texts[0], texts[1:]
        em, f1 = published(prediction, truths)
        assert squad.exact_match(prediction, truths) == em
        assert squad.f1(prediction, truths) == pytest.approx(f1)


def test_the_score_is_the_mean_over_the_rows() -> None:
    answers = [{"text": ["good"]}, {"text": ["very good"]}, {"text": []}]
    found = squad.score(["good", "good", "good"], answers)
    assert found == {"f1": pytest.approx((1 + 2 / 3 + 0) / 3), "exact_match": pytest.approx(1 / 3)}


def test_a_reference_of_articles_alone_is_none_as_in_the_published_script() -> None:
    answers = [{"text": ["the", "dog"]}, {"text": ["The"]}]
    assert squad.score(["", ""], answers) == {"f1": 0.5, "exact_match": 0.5}


@pytest.fixture(params=["bert", "roberta", "xlm-roberta"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    """Return one tokenizer of each kind."""
    return tiny.tiny_tokenizer(request.param)


LENGTH = 64


def test_a_long_context_becomes_windows_that_cover_it(tokenizer: PreTrainedTokenizerBase) -> None:
    found = squad.windows(tokenizer, ROWS, LENGTH, labelled=False)
    assert found["row"].count(0) > 1
    assert all(len(ids) <= LENGTH for ids in found["input_ids"])
    covered = {
        character
        for row, spans in zip(found["row"], found["context_spans"], strict=True)
        for low, high in spans
        for character in range(low, high)
        if row == 0
    }
    assert covered >= {number for number, character in enumerate(CONTEXT) if not character.isspace()}


def test_targets_point_at_the_text_of_the_answer(tokenizer: PreTrainedTokenizerBase) -> None:
    spans = squad.windows(tokenizer, ROWS, LENGTH, labelled=False)
    targets = squad.windows(tokenizer, ROWS, LENGTH, labelled=True)
    found = []
    for row, window, start, end in zip(
        spans["row"],
        spans["context_spans"],
        targets["start_positions"],
        targets["end_positions"],
        strict=True,
    ):
        if start or end:
            assert row == 0
            found.append(CONTEXT[window[start][0] : window[end][1]].strip())
    assert found
    assert set(found) == {ANSWER}


def test_some_window_without_the_answer_points_at_the_first_token(tokenizer: PreTrainedTokenizerBase) -> None:
    targets = squad.windows(tokenizer, ROWS, LENGTH, labelled=True)
    pairs = list(zip(targets["start_positions"], targets["end_positions"], strict=True))
    assert pairs[-1] == (0, 0)  # the unanswerable row
    assert pairs.count((0, 0)) > 1


@pytest.mark.parametrize("words", [20, 40, 60, 200])
def test_a_question_of_almost_any_length_leaves_room_for_the_context(words: int) -> None:
    rows = {**ROWS, "question": ["film " * words] * 2}
    found = squad.windows(tiny.tiny_tokenizer("bert"), rows, LENGTH, labelled=False)
    assert set(found["row"]) == {0, 1}
    assert all(len(ids) <= LENGTH for ids in found["input_ids"])
    assert all(any(low >= 0 for low, _ in spans) for spans in found["context_spans"])


def planted(found: dict[str, list[Any]], logit: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return logits that are highest at the answer in each window that holds it, padded with -100."""
    first, last = CONTEXT.index(ANSWER), CONTEXT.index(ANSWER) + len(ANSWER)
    starts, ends = [], []
    for row, spans in zip(found["row"], found["context_spans"], strict=True):
        start, end = (np.full(LENGTH + 5, -100, dtype=np.float32) for _ in range(2))
        start[: len(spans)], end[: len(spans)] = 0, 0
        if (
            row == 0
            and any(low <= first < high for low, high in spans)
            and any(high == last for _, high in spans)
        ):
            start[next(index for index, (low, high) in enumerate(spans) if low <= first < high)] = logit
            end[next(index for index, (_, high) in enumerate(spans) if high == last)] = logit
        starts.append(start)
        ends.append(end)
    return starts, ends


def test_a_planted_span_is_found_across_windows(tokenizer: PreTrainedTokenizerBase) -> None:
    found = squad.windows(tokenizer, ROWS, LENGTH, labelled=False)
    starts, ends = planted(found, 5.0)
    answers = squad.best_answers(starts, ends, found, ROWS["context"], unanswerable=False)
    assert answers[0].strip() == ANSWER
    assert answers[1] != ""


def test_the_null_answer_wins_where_no_span_scores_higher() -> None:
    found = squad.windows(tiny.tiny_tokenizer("bert"), ROWS, LENGTH, labelled=False)
    starts, ends = planted(found, 5.0)
    for start, end in zip(starts, ends, strict=True):
        start[0], end[0] = 3.0, 3.0
    assert squad.best_answers(starts, ends, found, ROWS["context"], unanswerable=True) == [ANSWER, ""]


def test_the_null_score_is_the_lowest_of_the_windows() -> None:
    found = squad.windows(tiny.tiny_tokenizer("bert"), ROWS, LENGTH, labelled=False)
    starts, ends = planted(found, 5.0)
    for start, end, row in zip(starts, ends, found["row"], strict=True):
        start[0], end[0] = (9.0, 9.0) if row == 0 else (0.0, 0.0)
    one = found["row"].index(0)
    starts[one][0], ends[one][0] = 0.0, 0.0
    assert squad.best_answers(starts, ends, found, ROWS["context"], unanswerable=True)[0] == ANSWER


def test_an_end_before_its_start_is_never_an_answer() -> None:
    features = {"row": [0], "context_spans": [[(-1, -1), (0, 3), (4, 7)]]}
    start, end = np.array([0, 0, 9], dtype=np.float32), np.array([0, 8, 1], dtype=np.float32)
    assert squad.best_answers([start], [end], features, ["one two"], unanswerable=False) == ["two"]


def test_an_answer_has_at_most_thirty_tokens() -> None:
    spans = [(-1, -1), *((number, number + 1) for number in range(40))]
    start, end = np.zeros(41, dtype=np.float32), np.zeros(41, dtype=np.float32)
    start[1], end[40], end[30] = 9, 9, 5
    features = {"row": [0], "context_spans": [spans]}
    assert squad.best_answers([start], [end], features, ["x" * 40], unanswerable=False) == ["x" * 30]
