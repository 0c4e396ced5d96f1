"""Rows as token ids, with what the Trainer needs besides: a collator, a score, a mean length."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunecli.tasks.columns import values_of
from prunecli.tasks.data import TaskData, targets
from prunecli.tasks.metrics import METRICS, Values

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import EvalPrediction, PreTrainedTokenizerBase

Columns = dict[str, list[Any]]
Score = Callable[["EvalPrediction"], dict[str, float]]
Collate = Callable[[list[dict[str, Any]]], dict[str, Any]]
Reduce = Callable[["Tensor", "Tensor"], Any]  # (outputs, labels) of a batch -> what the score keeps of it
# (the texts of all rows, their targets) -> columns of token ids and labels
Encode = Callable[[list[list[Any]], list[Any]], Columns]


@dataclass(frozen=True, slots=True)
class Features:
    """What the Trainer needs of a task.

    Attributes:
        train: Token ids and labels, with `length`.
        validation: The same, sorted by length so that evaluation batches waste little.
        score: From predictions on `validation` to the task's metrics.
        collate: From some rows to a batch.
        reduce: What is kept of a batch's outputs for the score, where that is less than all of them.
        every_output: Whether `reduce` gets every output of the model, and not only what its class says.
    """

    train: "Dataset"
    validation: "Dataset"
    score: Score
    collate: Collate
    reduce: Reduce | None = None
    every_output: bool = False

    @property
    def mean_length(self) -> int:
        """Return the mean tokens of a training example: what FLOPs are counted at."""
        return round(float(np.mean(self.train["length"])))


def encoded(data: TaskData, encode: Encode) -> tuple["Dataset", "Dataset"]:
    """Return training and validation rows as token ids."""
    train, validation = (
        token_rows(
            encode([values_of(rows, column) for column in data.task.columns], targets(data.task, rows))
        )
        for rows in (data.train, data.validation)
    )
    return train, by_length(validation)


def token_rows(features: Columns) -> "Dataset":
    """Return columns as a data set, with the `length` of each row (of several texts: their mean)."""
    from datasets import Dataset

    lengths = [
        len(ids) if isinstance(ids[0], int) else round(float(np.mean([len(text) for text in ids])))
        for ids in features["input_ids"]
    ]
    return Dataset.from_dict({**features, "length": lengths})


def by_length(features: "Dataset") -> "Dataset":
    """Return rows from short to long."""
    return features.select(np.argsort(features["length"], kind="stable"))


def text_features(
    data: TaskData,
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    predictions: Callable[[Values], Values],
) -> Features:
    """Return the features of texts or pairs with one target a row.

    Args:
        data: The task and its rows.
        tokenizer: The model's.
        max_length: Tokens that a row is cut to.
        predictions: From logits [rows, labels] to what the metrics compare with the targets.
    """
    from transformers import DataCollatorWithPadding

    def encode(texts: list[list[Any]], labels: list[Any]) -> Columns:
        return {**tokenizer(*texts, truncation=True, max_length=max_length), "labels": labels}

    def score(output: "EvalPrediction") -> dict[str, float]:
        found, labels = predictions(np.asarray(output.predictions)), np.asarray(output.label_ids)
        if (
            data.task.order and labels.ndim == 1
        ):  # F1 is that of the task's class 1, whatever the head calls it
            order = np.asarray(data.task.order)
            found, labels = order[found], order[labels]
        return {name: METRICS[name](found, labels) for name in data.task.metrics}

    train, validation = encoded(data, encode)
    return Features(train, validation, score, DataCollatorWithPadding(tokenizer))
