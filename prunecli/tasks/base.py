"""What a task is, as data; the table is `tasks.toml`."""

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from prunecli.errors import InputError

Kind = Literal["classification", "regression", "question-answering"]

# The head that each kind of task needs on an encoder.
HEADS: dict[Kind, str] = {
    "classification": "ForSequenceClassification",
    "regression": "ForSequenceClassification",
    "question-answering": "ForQuestionAnswering",
}


@dataclass(frozen=True, slots=True)
class Task:
    """A task: columns, labels, splits and metrics.

    Attributes:
        name: What the command line calls it.
        kind: Which head and loss it needs.
        columns: One text column, or two for pairs (question and context for question answering).
        metrics: Metrics to report; the first is the headline.
        labels: Label names in the order of their ids; empty for regression and for data of one's own.
        label_column: The column with the label.
        hub: Data set id on the hub, and its configuration.
        bundled: Package that carries the data.
        train: Name of the training split.
        validation: Name of the split that is reported.
        unanswerable: Whether questions may have no answer.
        order: For a head that knows the labels in another order: the task's label id of each of its ids.
    """

    name: str
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    kind: Kind = "classification"
    labels: tuple[str, ...] = ()
    label_column: str = "label"
    hub: tuple[str, ...] = ()
    bundled: str | None = None
    train: str = "train"
    validation: str = "validation"
    unanswerable: bool = False
    order: tuple[int, ...] = ()

    @property
    def ordered_labels(self) -> tuple[str, ...]:
        """Return the label names in the order of the head's ids."""
        return tuple(self.labels[number] for number in self.order) if self.order else self.labels

    @property
    def head(self) -> str:
        """Return the head class without its stem."""
        return HEADS[self.kind]

    @property
    def usual_length(self) -> int:
        """Return the tokens that examples are cut to where nobody says otherwise."""
        return 384 if self.kind == "question-answering" else 128

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Return the columns besides the texts that training needs."""
        return ("answers",) if self.kind == "question-answering" else (self.label_column,)


@cache
def tasks() -> dict[str, Task]:
    """Return the table of known tasks by name."""
    table = tomllib.loads(resources.files(__package__).joinpath("tasks.toml").read_text(encoding="utf-8"))
    return {name: _task(name, row) for name, row in table.items()}


def _task(name: str, row: dict[str, Any]) -> Task:
    frozen: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    return Task(name=name, **frozen)


def known_task(name: str) -> Task:
    """Return a task of the table.

    Raises:
        InputError: There is none of this name.
    """
    if name not in tasks():
        near = difflib.get_close_matches(name, tasks(), n=1)
        hint = (
            f"did you mean {near[0]}?" if near else f"tasks: {', '.join(tasks())}, or a data file or folder"
        )
        raise InputError(f"task {name!r} is not known", hint)
    return tasks()[name]
