"""Any number of labels for a text or a pair: a list of names or ids, or a vector of zeros and ones."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prunecli.errors import InputError
from prunecli.tasks.columns import LIST, NUMBER, TEXT, WHOLE
from prunecli.tasks.features import Features, text_features
from prunecli.tasks.kinds.base import Kind, Reader, named_labels
from prunecli.tasks.labels import id_of, names_in

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData


def are_vectors(rows: Sequence[Any]) -> bool:
    """Say whether lists are vectors: all of one length, at least 2, of nothing but 0 and 1.

    Lists of ids look like that only if every row has exactly the labels 0 and 1: ids do not repeat in a row.
    """
    lists = [row for row in rows if isinstance(row, list)]
    return (
        len({len(row) for row in lists}) == 1
        and len(lists[0]) > 1
        and all(value in (0, 1) for row in lists for value in row)
    )


def _complete(task: "Task", labels: Sequence[Any]) -> "Task":
    if are_vectors(labels):
        return replace(task, labels=tuple(str(number) for number in range(len(labels[0]))), vectors=True)
    single = [label for row in labels if isinstance(row, list) for label in row]
    return replace(task, labels=names_in(single, task.label_column))


def _reader(task: "Task") -> Reader:
    """Return the function to a vector of floats, which is what the loss takes."""
    find = id_of(task)

    def read(*row: Any) -> list[float]:
        labels = row[-1]
        if not isinstance(labels, list):
            raise InputError(f"{task.label_column} {labels!r} is not a list", "write [] where no label holds")
        if task.vectors:
            if len(labels) != len(task.labels) or not all(value in (0, 1) for value in labels):
                raise InputError(
                    f"{labels} is not a vector of {len(task.labels)} zeros and ones", "give all rows as many"
                )
            return [float(value) for value in labels]
        ids = {find(label) for label in labels}
        return [float(number in ids) for number in range(len(task.labels))]

    return read


def _config(task: "Task") -> dict[str, Any]:
    return {**named_labels(task), "problem_type": "multi_label_classification"}


def _features(data: "TaskData", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Features:
    return text_features(data, tokenizer, max_length, lambda logits: logits > 0)  # probability over 0.5


KIND = Kind(
    name="multi-label",
    head="ForSequenceClassification",
    label_columns=("labels", "label"),
    label_shapes=(LIST + TEXT, LIST + WHOLE, LIST + NUMBER),
    metrics=lambda labels: ("f1_micro", "f1_macro"),
    reader=_reader,
    complete=_complete,
    config=_config,
    features=_features,
)
