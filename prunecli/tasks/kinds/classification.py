"""One label of several for a text or a pair. Labels are words, or numbers from 0."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prunecli.tasks.columns import TEXT, WHOLE
from prunecli.tasks.features import Features, text_features
from prunecli.tasks.kinds.base import Kind, Reader, named_labels
from prunecli.tasks.labels import id_of, names_in

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData

log = logging.getLogger(__name__)


def _reader(task: "Task") -> Reader:
    find = id_of(task)

    def read(*row: Any) -> int | None:
        label = row[-1]
        return None if label is None or label == -1 else find(label)

    return read


def _complete(task: "Task", labels: Sequence[Any]) -> "Task":
    names, held = names_in(labels, task.label_column), set(labels) - {None, -1}
    if len(held) == 1:
        log.warning(
            "column %r holds %r in every row: nothing can be learnt from it", task.label_column, *held
        )
    return replace(task, labels=names)


def _config(task: "Task") -> dict[str, Any]:
    return {**named_labels(task), "problem_type": "single_label_classification"}


def _features(data: "TaskData", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Features:
    return text_features(data, tokenizer, max_length, lambda logits: logits.argmax(-1))


KIND = Kind(
    name="classification",
    head="ForSequenceClassification",
    label_shapes=(TEXT, WHOLE),
    metrics=lambda labels: ("accuracy",),
    reader=_reader,
    complete=_complete,
    config=_config,
    features=_features,
)
