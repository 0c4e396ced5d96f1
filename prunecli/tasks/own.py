"""A task for data of one's own: its kind is told from the columns, or `--task-kind` says it."""

import logging
from dataclasses import dataclass, replace

from prunecli.errors import InputError
from prunecli.registry import nearest
from prunecli.tasks import kinds
from prunecli.tasks.base import Task, tasks
from prunecli.tasks.columns import LIST, TEXT, Shapes
from prunecli.tasks.kinds.base import Kind

log = logging.getLogger(__name__)

NAME_THEM = "name yours with --text-columns A,B and --label-column C"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user says of the data: each may be None.

    Attributes:
        columns: `--text-columns`.
        label: `--label-column`.
        kind: `--task-kind`.
    """

    columns: str | None = None
    label: str | None = None
    kind: str | None = None

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """Return the columns asked for.

        Raises:
            InputError: A name is empty.
        """
        if self.columns is None:
            return None
        names = tuple(column.strip() for column in self.columns.split(","))
        if not all(names):
            raise InputError(f"--text-columns {self.columns!r} has an empty name", "write A or A,B")
        return names


def own_task(name: str, file: str, shapes: Shapes, asked: Asked) -> Task:
    """Tell what data of one's own are for.

    Args:
        name: What the task shall be called.
        file: Where the columns come from, for messages.
        shapes: What the columns hold.
        asked: What the user says.

    Raises:
        InputError: No kind of task reads these columns, or several do.
    """
    for column in (*(asked.column_names or ()), *([asked.label] if asked.label else [])):
        if column not in shapes:
            raise _no_column(file, column, shapes)
    if asked.kind is not None:
        kind = kinds.get(asked.kind)
        return _task(name, kind, *_columns(kind, shapes, asked))
    readings = []
    for kind in map(kinds.get, kinds.names()):
        columns, label = _columns(kind, shapes, asked)
        if label is not None and _fits(kind, {name: shapes.get(name, "") for name in (*columns, label)}):
            readings.append(_task(name, kind, columns, label))
    readings = [task for task in readings if not any(_reads_more(other, task) for other in readings)]
    if len(readings) != 1:
        raise _unclear(file, shapes, readings)
    log.info("%s: %s, from the columns %s", file, readings[0].kind.name, ", ".join(readings[0].all_columns))
    return readings[0]


def _fits(kind: Kind, held: Shapes) -> bool:
    """Say whether columns, the label's last, hold what a kind reads, and no other of so many columns."""
    *texts, label = held.values()
    return tuple(texts) in kind.shapes and label in kind.label_shapes and kind.label_fits(held)


def _reads_more(task: Task, other: Task) -> bool:
    """Say whether a task reads all that another does, and more."""
    return set(task.all_columns) > set(other.all_columns)


def changed(task: Task, asked: Asked) -> Task:
    """Return a task of the table with the columns that the user's files have.

    Raises:
        InputError: The user wants another kind than the task is of.
    """
    if asked.kind not in (None, task.kind.name):
        raise InputError(
            f"--task-kind {asked.kind}: task {task.name} is of kind {task.kind.name}",
            "name a data file or folder instead of the task",
        )
    columns = asked.column_names
    if columns and len(columns) not in map(len, task.kind.shapes):
        raise InputError(
            f"--text-columns {asked.columns}: task {task.name} reads {' and '.join(task.columns)}",
            "name as many columns",
        )
    return replace(task, columns=columns or task.columns, label_column=asked.label or task.label_column)


def check_columns(task: Task, shapes: Shapes, file: str) -> None:
    """Refuse a file that lacks a column of the task, or has something else in it than the kind reads.

    Raises:
        InputError: It names file and column.
    """
    missing = [column for column in task.all_columns if column not in shapes]
    if missing:
        raise _no_column(file, missing[0], shapes)
    found = tuple(shapes[column] for column in task.columns)
    if found in task.kind.shapes:
        return
    wanted = next((shape for shape in task.kind.shapes if len(shape) == len(found)), None)
    if wanted is None:
        counts = " or ".join(str(len(shape)) for shape in task.kind.shapes)
        raise InputError(f"{task.kind.name} reads {counts} columns, not {', '.join(task.columns)}", NAME_THEM)
    column, held, needed = next(
        triple for triple in zip(task.columns, found, wanted, strict=True) if triple[1] != triple[2]
    )
    raise InputError(
        f"{file}: column {column!r} holds {held}, but {task.kind.name} needs {needed}",
        "CSV and TSV cannot hold lists: write JSONL or Parquet" if needed == LIST + TEXT else NAME_THEM,
    )


def _no_column(file: str, column: str, shapes: Shapes) -> InputError:
    near, alike = nearest(column, shapes), _tasks_with(shapes)
    if alike:
        near = f"these are columns of {' and '.join(alike)}."
    return InputError(
        f"{file} has no column {column!r} (it has {', '.join(shapes)})",
        f"{near} Else {NAME_THEM}" if near else NAME_THEM,
    )


def _tasks_with(shapes: Shapes) -> list[str]:
    """Return the known tasks whose columns these are."""
    return [name for name, task in tasks().items() if set(task.all_columns) <= shapes.keys()]


def _columns(kind: Kind, shapes: Shapes, asked: Asked) -> tuple[tuple[str, ...], str | None]:
    """Return the columns that a kind would read: those asked for, else the first of its usual ones."""
    labels = [name for name in kind.label_columns if name in shapes]
    label = (asked.label or next(iter(labels), kind.label_columns[0])) if kind.label_columns else None
    usual = [names for names in kind.columns if label not in names and all(name in shapes for name in names)]
    return asked.column_names or next(iter(usual), kind.columns[0]), label


def _task(name: str, kind: Kind, columns: tuple[str, ...], label: str | None) -> Task:
    return Task(name, kind, columns, kind.metrics(()), label_column=label)


def _unclear(file: str, shapes: Shapes, readings: list[Task]) -> InputError:
    if readings:
        could = " or ".join(f"{task.kind.name} ({', '.join(task.all_columns)})" for task in readings)
        return InputError(f"{file} could be for {could}", f"say which: --task-kind {readings[0].kind.name}")
    there = ", ".join(f"{name} ({shape})" for name, shape in shapes.items())
    alike = _tasks_with(shapes)
    return InputError(
        f"{file}: no kind of task is known by these columns: {there}",
        f"{' and '.join(alike)} have such: name the task, and the folder with --data-dir. Else {NAME_THEM}"
        if alike
        else f"{NAME_THEM}, or say the kind with --task-kind ({', '.join(kinds.names())})",
    )
