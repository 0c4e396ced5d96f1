"""Rows become token ids, and predictions are scored against the right rows."""

from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from transformers import EvalPrediction

from prunecli.tasks import Task, TaskData, known_task
from prunecli.tasks.features import Features
from tests import tiny

TEXTS = ["the film was good and we saw it", "dull", "not very good", "the plot was bad and the film dull"]


def features_of(task: Task, columns: dict[str, list[Any]]) -> Features:
    """Return the features of a task with the same rows in both splits."""
    rows = Dataset.from_dict(columns)
    return task.kind.features(TaskData(task, rows, rows, "test"), tiny.tiny_tokenizer("bert"), 64)


def test_evaluation_goes_from_short_to_long() -> None:
    found = features_of(known_task("sst2"), {"sentence": TEXTS, "label": [1, 0, 0, 0]})
    assert list(found.validation["length"]) == sorted(found.validation["length"])
    assert [len(ids) for ids in found.validation["input_ids"]] == list(found.validation["length"])


def test_labels_stay_with_their_rows_when_sorted() -> None:
    found = features_of(known_task("sst2"), {"sentence": TEXTS, "label": [1, 0, 0, 1]})
    by_ids = {tuple(row["input_ids"]): row["labels"] for row in found.train}
    assert all(by_ids[tuple(row["input_ids"])] == row["labels"] for row in found.validation)


def test_pairs_are_encoded_as_pairs() -> None:
    columns = {"question1": TEXTS, "question2": TEXTS[::-1], "label": [0, 1, 0, 1]}
    found = features_of(known_task("qqp"), columns)
    expected = tiny.tiny_tokenizer("bert")(TEXTS[0], TEXTS[-1])
    assert found.train[0]["input_ids"] == expected["input_ids"]
    assert found.train[0]["token_type_ids"] == expected["token_type_ids"]


def test_the_mean_length_is_that_of_the_training_rows() -> None:
    found = features_of(known_task("sst2"), {"sentence": ["dull", "not very good"], "label": [0, 1]})
    assert found.mean_length == 4  # 3 and 5 tokens


def test_a_class_is_the_highest_logit() -> None:
    found = features_of(known_task("mrpc"), {"sentence1": TEXTS, "sentence2": TEXTS, "label": [1, 1, 0, 0]})
    logits = np.array([[0, 1], [0, 1], [0, 1], [1, 0]])
    assert found.score(EvalPrediction(logits, np.array([1, 1, 0, 0]))) == {"accuracy": 0.75, "f1": 0.8}


def test_a_regression_is_scored_by_its_one_output() -> None:
    found = features_of(
        known_task("stsb"), {"sentence1": TEXTS, "sentence2": TEXTS, "label": [0.0, 1.0, 2.0, 3.0]}
    )
    score = found.score(
        EvalPrediction(np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0.0, 1.0, 2.0, 3.0]))
    )
    assert score == {"spearman": pytest.approx(1), "pearson": pytest.approx(1)}


def test_perfect_span_logits_score_one_whatever_the_order_of_windows() -> None:
    contexts = [
        "it was dull and not good . " * 12 + "kavya saw the film",
        "monday was good",
        "we saw the plot on monday",
    ]
    answers = ["kavya", "monday", "the plot"]
    found = features_of(
        known_task("squad"),
        {
            "id": ["0", "1", "2"],
            "question": ["who saw it", "when was it", "what was it"],
            "context": contexts,
            "answers": [
                {"text": [text], "answer_start": [context.index(text)]}
                for text, context in zip(answers, contexts, strict=True)
            ],
        },
    )
    rows = found.validation
    assert len(rows) > 3
    starts, ends = (np.zeros((len(rows), 64), dtype=np.float32) for _ in range(2))
    for number, row in enumerate(rows):
        if row["start_positions"]:
            starts[number, row["start_positions"]] = ends[number, row["end_positions"]] = 9
    assert found.score(EvalPrediction((starts, ends), None)) == {"f1": 1.0, "exact_match": 1.0}
