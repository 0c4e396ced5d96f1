"""Positions with labels: which tokens they are, how rows are padded, how they are scored."""

from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from transformers import EvalPrediction

from prunecli.errors import InputError
from prunecli.tasks import Task, TaskData, kinds
from prunecli.tasks.data import targets
from tests import tiny

KIND = kinds.get("masked-seq")
TEXTS = ["the film was good", "we saw it"]
Places = list[list[Any]]


def data_of(places: Places, labels: list[list[Any]], column: str = "mask_indices") -> TaskData:
    task = Task("own", KIND, ("text", column), KIND.metrics(()), label_column="labels")
    rows = Dataset.from_dict({"text": TEXTS, column: places, "labels": labels})
    return TaskData(KIND.complete(task, labels), rows, rows, "test")


def batch_of(data: TaskData, max_length: int = 16, model_type: str = "bert") -> dict[str, Any]:
    features = KIND.features(data, tiny.tiny_tokenizer(model_type), max_length)
    return features.collate(list(features.train.remove_columns("length")))


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_tokens_are_named_by_number_or_by_characters(model_type: str) -> None:
    spans = [[[4, 8], [13, 17]], [[7, 9]]]
    labels = [["x", "y"], ["y"]]
    batch = batch_of(data_of(spans, labels, "spans"), 32, model_type)
    tokenizer = tiny.tiny_tokenizer(model_type)
    starts = [
        [tokenizer(text).char_to_token(start) for start, _ in row]
        for text, row in zip(TEXTS, spans, strict=True)
    ]
    assert batch["mask_indices"].tolist() == [starts[0], [*starts[1], 0]]
    assert batch["labels"].tolist() == [[0, 1], [1, -100]]
    same = batch_of(data_of(starts, labels), 32, model_type)
    assert same["mask_indices"].tolist() == batch["mask_indices"].tolist()


@pytest.mark.parametrize("labels", [[[["x"], []], [["x", "y"]]], [[[1, 0], [0, 0]], [[1, 1]]]])
def test_several_labels_are_vectors(labels: list[list[Any]]) -> None:
    data = data_of([[1, 2], [3]], labels)
    assert KIND.config(data.task)["task"] == "multilabel" and len(data.task.labels) == 2
    assert batch_of(data)["labels"].tolist() == [[[1, 0], [0, 0]], [[1, 1], [-100, -100]]]


def test_what_is_cut_off_does_not_count() -> None:
    batch = batch_of(data_of([[1, 4], [3]], [["x", "y"], ["y"]]), max_length=4)
    assert batch["mask_indices"].tolist() == [[1], [3]] and batch["labels"].tolist() == [[0], [1]]
    nothing = batch_of(data_of([[4], [3]], [["x"], ["y"]]), max_length=4)
    assert nothing["labels"].tolist() == [[-100], [1]]


@pytest.mark.parametrize(
    ("places", "labels", "said"),
    [
        ([[1], [2]], [["x"], ["x", "y"]], "row 2: 1 positions, but labels 2"),
        ([[1], [-2]], [["x"], ["y"]], "row 2: position -2 is no token's number"),
        ([[[0, 3]], [[4, 40]]], [["x"], ["y"]], r"row 2: position \[4, 40\] is no token's number"),
    ],
)
def test_rows_that_make_no_sense_are_refused(places: Places, labels: Any, said: str) -> None:
    data = data_of(places, labels)
    with pytest.raises(InputError, match=said):
        targets(data.task, data.train)


def test_scores_of_one_and_of_several_labels() -> None:
    one = KIND.features(data_of([[1, 2], [3]], [["x", "y"], ["y"]]), tiny.tiny_tokenizer("bert"), 16)
    found = EvalPrediction(np.array([[0, 0], [1, 0]]), np.array([[0, 1], [1, -100]]))
    assert one.score(found) == pytest.approx({"f1_micro": 2 / 3, "accuracy": 2 / 3})
    several = KIND.features(
        data_of([[1, 2], [3]], [[["x"], []], [["x", "y"]]]), tiny.tiny_tokenizer("bert"), 16
    )
    wanted = np.array([[[1, 0], [0, 0]], [[1, 1], [-100, -100]]])
    found = EvalPrediction(np.array([[[1, 0], [0, 1]], [[1, 0], [1, 1]]]), wanted)
    assert several.score(found) == pytest.approx({"f1_micro": 2 / 3, "accuracy": 1 / 3})
