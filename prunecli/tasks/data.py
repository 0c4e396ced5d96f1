"""A task's rows: from the hub, from a folder of files, from one file, or bundled."""

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunecli.errors import InputError, OfflineError
from prunecli.tasks.base import Task, known_task, tasks
from prunecli.tasks.files import SUFFIXES, find_split, read_table

if TYPE_CHECKING:
    from datasets import Dataset

HELD_OUT = 0.1  # share of a single file that becomes its validation split
TEXT_TYPES = ("string", "large_string")
FLOAT_TYPES = ("float", "double", "halffloat")


@dataclass(frozen=True, slots=True)
class TaskData:
    """A task with its rows.

    Attributes:
        task: The task; for data of one's own, made from the columns.
        train: Training rows.
        validation: Rows that are reported.
        source: Where they come from, for the run record.
    """

    task: Task
    train: "Dataset"
    validation: "Dataset"
    source: str


def load_task(
    name: str,
    data_dir: Path | None = None,
    text_columns: str | None = None,
    label_column: str | None = None,
    max_train_samples: int | None = None,
    seed: int = 0,
) -> TaskData:
    """Find a task and read its rows.

    Args:
        name: A task of the table, or the path of a data file or folder.
        data_dir: Folder with the task's files, instead of the hub.
        text_columns: Columns with the text, as `a` or `a,b`.
        label_column: Column with the label.
        max_train_samples: Keep the first N training rows.
        seed: Decides which rows of a single file are held out.

    Raises:
        InputError: A file, column or label is missing or broken.
        OfflineError: The data would have to come from the hub, which is out of reach.
    """
    task, train, validation, source = _rows(name, data_dir, seed)
    if text_columns:
        task = replace(task, columns=_columns(task, text_columns))
    if label_column:
        task = replace(task, label_column=label_column)
    for split, rows in (("train", train), ("validation", validation)):
        _check_columns(task, rows, split)
    if not task.labels and task.kind == "classification":
        task = _with_labels(task, train)
    if max_train_samples:
        train = train.select(range(min(max_train_samples, len(train))))
    return TaskData(task, _without_gaps(task, train), _without_gaps(task, validation), source)


def _columns(task: Task, asked: str) -> tuple[str, ...]:
    """Split what `--text-columns` names."""
    columns = tuple(column.strip() for column in asked.split(","))
    if task.kind == "question-answering":
        raise InputError(
            f"--text-columns {asked}: task {task.name} reads the columns question and context",
            "rename yours to these",
        )
    if not all(columns) or len(columns) > 2:
        raise InputError(f"--text-columns {asked!r} must name one column, or two", "write A or A,B")
    return columns


def _rows(name: str, data_dir: Path | None, seed: int) -> tuple[Task, "Dataset", "Dataset", str]:
    """Return the task with its training and validation rows, and where they come from."""
    own = Path(name)
    if name not in tasks() and (own.exists() or own.suffix in SUFFIXES):
        return Task(own.stem, ("text",), ("accuracy",)), *_read_own(own, seed), str(own)
    task = known_task(name)
    folder = Path(str(resources.files(task.bundled))) if task.bundled and data_dir is None else data_dir
    if folder is None:
        return task, *_from_hub(task), "/".join(task.hub)
    train, validation = (_dataset(find_split(folder, split)) for split in (task.train, task.validation))
    return task, train, validation, "bundled" if data_dir is None else str(data_dir)


def _dataset(path: Path) -> "Dataset":
    from datasets import Dataset

    return Dataset(read_table(path))


def _read_own(path: Path, seed: int) -> tuple["Dataset", "Dataset"]:
    if path.is_dir():
        return _dataset(find_split(path, "train")), _dataset(find_split(path, "validation"))
    if not path.is_file():
        raise InputError(
            f"{path} does not exist", "name a data file, a folder of train and validation files, or a task"
        )
    rows = _dataset(path)
    if len(rows) < 2:
        raise InputError(f"{path} has one row, which cannot be both trained on and held out")
    parts = rows.train_test_split(test_size=HELD_OUT, seed=seed)
    return parts["train"], parts["test"]


def _from_hub(task: Task) -> tuple["Dataset", "Dataset"]:
    import datasets

    try:
        splits = datasets.load_dataset(*task.hub)
    except Exception as error:  # offline, proxies and a missing cache each raise their own type
        raise OfflineError(
            f"data of task {task.name} ({'/'.join(task.hub)}) cannot be had from the hub: {type(error).__name__}",
            f"put {task.train} and {task.validation} files (parquet, JSONL or CSV) into a folder and add --data-dir",
        ) from None
    return splits[task.train], splits[task.validation]


def _check_columns(task: Task, rows: "Dataset", split: str) -> None:
    missing = [column for column in (*task.columns, *task.label_columns) if column not in rows.column_names]
    if missing:
        there = ", ".join(rows.column_names)
        raise InputError(
            f"the {split} data of task {task.name} have no column {missing[0]!r} (they have {there})",
            "name yours with --text-columns A,B and --label-column C",
        )


def _with_labels(task: Task, train: "Dataset") -> Task:
    """Tell the labels of one's own data from the training rows: floats are scores, strings are names."""
    kind = str(train.data.schema.field(task.label_column).type)
    if kind in FLOAT_TYPES:
        return replace(task, kind="regression", metrics=("spearman", "pearson"))
    values = sorted(set(train[task.label_column]) - {None, -1})
    if not values:
        raise InputError(f"column {task.label_column!r} holds no labels")
    if isinstance(values[0], str):
        return replace(task, labels=tuple(values))
    if values[-1] >= len(train):
        raise InputError(
            f"column {task.label_column!r} holds numbers up to {values[-1]} in {len(train)} rows: no class ids",
            "number the classes from 0, name them by strings, or write scores with a decimal point",
        )
    return replace(task, labels=tuple(str(number) for number in range(int(values[-1]) + 1)))


def _without_gaps(task: Task, rows: "Dataset") -> "Dataset":
    """Refuse rows without a text; drop unlabelled rows, which the hub marks with -1."""
    for column in task.columns:
        kind = str(rows.data.schema.field(column).type)
        if kind not in TEXT_TYPES:
            raise InputError(f"column {column!r} of task {task.name} holds {kind}, not text in UTF-8")
        if None in rows.unique(column):
            raise InputError(f"column {column!r} of task {task.name} has empty rows", "remove or fill them")
    if task.kind == "classification" and any(label in (-1, None) for label in rows.unique(task.label_column)):
        rows = rows.filter(lambda row: row[task.label_column] not in (-1, None))
    if len(rows) == 0:
        raise InputError(
            f"column {task.label_column!r} of task {task.name} holds no labels in one of its splits"
        )
    return rows


def label_ids(task: Task, rows: "Dataset") -> list[Any]:
    """Return the labels of rows as ids of the head, or as floats for regression.

    Raises:
        InputError: A label is none of the task's.
    """
    labels = rows[task.label_column]
    if task.kind == "regression":
        if None in labels:
            raise InputError(
                f"a row of task {task.name} has no {task.label_column}", "remove it or fill it in"
            )
        return [float(label) for label in labels]
    names = {name: number for number, name in enumerate(task.labels)}
    whole = [label if isinstance(label, str) or label == int(label) else -1 for label in labels]
    ids = [names.get(label, -1) if isinstance(label, str) else int(label) for label in whole]
    wrong = next((number for number, label in enumerate(ids) if not 0 <= label < len(task.labels)), None)
    if wrong is not None:
        raise InputError(
            f"row {wrong + 1}: label {labels[wrong]!r} is not one of the {len(task.labels)} labels of task {task.name} "
            f"({', '.join(task.labels[:10])})"
        )
    return [task.order.index(label) for label in ids] if task.order else ids
