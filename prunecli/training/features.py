"""Rows of a task as token ids, and how outputs of the model are scored against them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import EvalPrediction, PreTrainedTokenizerBase

from prunecli.tasks import Task, TaskData, squad
from prunecli.tasks.data import label_ids
from prunecli.tasks.metrics import METRICS

Score = Callable[[EvalPrediction], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Features:
    """What the Trainer needs of a task.

    Attributes:
        train: Token ids and labels, with `length`.
        validation: The same, sorted by length so that evaluation batches waste little.
        score: From predictions on `validation` to the task's metrics.
        mean_length: Mean tokens of a training example: what FLOPs are counted at.
    """

    train: Dataset
    validation: Dataset
    score: Score
    mean_length: int


def make_features(data: TaskData, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
    """Tokenise a task's rows."""
    make = _question_answering if data.task.kind == "question-answering" else _classification
    return make(data, tokenizer, max_length)


def _classification(data: TaskData, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
    def encode(rows: Dataset) -> Dataset:
        texts = [list(rows[column]) for column in data.task.columns]
        features = dict(tokenizer(*texts, truncation=True, max_length=max_length))
        return _dataset({**features, "labels": label_ids(data.task, rows)})

    train = encode(data.train)
    validation = _by_length(encode(data.validation))
    return Features(train, validation, _scorer(data.task), _mean_length(train))


def _question_answering(data: TaskData, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
    train = _dataset(squad.windows(tokenizer, data.train.to_dict(), max_length, labelled=True))
    rows = data.validation.to_dict()
    plain = squad.windows(tokenizer, rows, max_length, labelled=False)
    targets = squad.windows(tokenizer, rows, max_length, labelled=True)  # so that a loss is reported as well
    both = _by_length(_dataset({**targets, "row": plain["row"], "context_spans": plain["context_spans"]}))
    aside = {"row": both["row"], "context_spans": both["context_spans"]}

    def score(output: EvalPrediction) -> dict[str, float]:
        starts, ends = tuple(output.predictions)
        answers = squad.best_answers(list(starts), list(ends), aside, rows["context"], data.task.unanswerable)
        return squad.score(answers, rows["answers"])

    validation = both.remove_columns(["row", "context_spans"])
    return Features(train, validation, score, _mean_length(train))


def _dataset(features: dict[str, list[Any]]) -> Dataset:
    return Dataset.from_dict({**features, "length": [len(ids) for ids in features["input_ids"]]})


def _by_length(features: Dataset) -> Dataset:
    return features.select(np.argsort(features["length"], kind="stable"))


def _mean_length(train: Dataset) -> int:
    return round(float(np.mean(train["length"])))


def _scorer(task: Task) -> Score:
    def score(output: EvalPrediction) -> dict[str, float]:
        logits = np.asarray(output.predictions)
        predictions = logits.squeeze(-1) if task.kind == "regression" else logits.argmax(-1)
        return {name: METRICS[name](predictions, np.asarray(output.label_ids)) for name in task.metrics}

    return score
