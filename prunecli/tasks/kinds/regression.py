"""A number for a text or a pair."""

import math
from typing import TYPE_CHECKING, Any

from prunecli.errors import InputError
from prunecli.tasks.columns import NUMBER
from prunecli.tasks.features import Features, text_features
from prunecli.tasks.kinds.base import Kind, Reader

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData


def _reader(task: "Task") -> Reader:
    def read(*row: Any) -> float:
        try:
            value = float(row[-1])
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{task.label_column} {row[-1]!r} is not a number", "remove the row or fill it in"
            )
        return value

    return read


def _config(task: "Task") -> dict[str, Any]:
    return {"num_labels": 1, "problem_type": "regression"}


def _features(data: "TaskData", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Features:
    return text_features(data, tokenizer, max_length, lambda logits: logits.squeeze(-1))


KIND = Kind(
    name="regression",
    head="ForSequenceClassification",
    label_shapes=(NUMBER,),
    metrics=lambda labels: ("spearman", "pearson"),
    reader=_reader,
    config=_config,
    features=_features,
)
