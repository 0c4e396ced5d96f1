"""What a task is, as data; the table is `tasks.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from prunecli.errors import InputError
from prunecli.registry import nearest
from prunecli.tasks import kinds
from prunecli.tasks.kinds.base import Kind


@dataclass(frozen=True, slots=True)
class Task:
    """A task: kind, columns, labels, splits and metrics.

    Attributes:
        name: What the command line calls it.
        kind: How its rows are trained on and scored.
        columns: The columns that are read besides the label, in the order in which the kind takes them.
        metrics: Metrics to report; the first is the headline.
        labels: Label names in the order of their ids; empty where the kind has none.
        label_column: The column with the label; None where the kind needs none.
        hub: Data set id on the hub, and its configuration.
        bundled: Package that carries the data.
        train: Name of the training split.
        validation: Name of the split that is reported.
        unanswerable: Whether questions may have no answer.
        vectors: Whether the label column holds vectors of zeros and ones.
        several: Whether each position of a text has any number of labels.
        order: For a head that knows the labels in another order: the task's label id of each of its ids.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    labels: tuple[str, ...] = ()
    label_column: str | None = "label"
    hub: tuple[str, ...] = ()
    bundled: str | None = None
    train: str = "train"
    validation: str = "validation"
    unanswerable: bool = False
    vectors: bool = False
    several: bool = False
    order: tuple[int, ...] = ()

    @property
    def is_own(self) -> bool:
        """Say whether the data are a user's own, so that labels are what the files say."""
        return not self.hub and self.bundled is None

    @property
    def ordered_labels(self) -> tuple[str, ...]:
        """Return the label names in the order of the head's ids."""
        return tuple(self.labels[number] for number in self.order) if self.order else self.labels

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Return every column that is read; the label's, if there is one, comes last."""
        return self.columns if self.label_column is None else (*self.columns, self.label_column)


@cache
def tasks() -> dict[str, Task]:
    """Return the table of known tasks by name."""
    table = tomllib.loads(resources.files(__package__).joinpath("tasks.toml").read_text(encoding="utf-8"))
    return {name: _task(name, row) for name, row in table.items()}


def _task(name: str, row: dict[str, Any]) -> Task:
    frozen: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    return Task(name=name, **{**frozen, "kind": kinds.get(frozen.get("kind", "classification"))})


def known_task(name: str) -> Task:
    """Return a task of the table.

    Raises:
        InputError: There is none of this name.
    """
    if name not in tasks():
        hint = nearest(name, tasks()) or f"tasks: {', '.join(tasks())}, or a data file or folder"
        raise InputError(f"task {name!r} is not known", hint)
    return tasks()[name]
