"""A task's rows: from the hub, from a folder of files, from one file, or bundled."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from prunecli.checkpoints.source import is_out_of_reach
from prunecli.errors import InputError, OfflineError, words_of
from prunecli.tasks.base import Task, known_task, tasks
from prunecli.tasks.columns import shapes_of, values_of
from prunecli.tasks.files import SUFFIXES, check_place, find_split, read_table
from prunecli.tasks.kinds.base import Target, with_metrics
from prunecli.tasks.own import Asked, changed, check_columns, own_task

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

TRAIN, VALIDATION, ALL = (
    "train",
    "validation",
    "all",
)  # as --split names them; a task may call the first two otherwise
HELD_OUT = 0.1  # share of a single file that becomes its validation split


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


@dataclass(frozen=True, slots=True)
class File:
    """A file or split as it was read.

    Attributes:
        name: What messages call it.
        rows: All of its rows.
    """

    name: str
    rows: "Dataset"


def load_task(
    name: str,
    data_dir: Path | None = None,
    text_columns: str | None = None,
    label_column: str | None = None,
    max_train_samples: int | None = None,
    seed: int = 0,
    kind: str | None = None,
) -> TaskData:
    """Find a task, read its rows, and check every one of them.

    Args:
        name: A task of the table, or the path of a data file or folder.
        data_dir: Folder with the task's files, instead of the hub.
        text_columns: Columns with the text, as `a` or `a,b`.
        label_column: Column with the label.
        max_train_samples: Keep the first N training rows.
        seed: Decides which rows of a single file are held out.
        kind: The kind of task, where the columns of one's own data do not say it.

    Raises:
        InputError: A file, column, row or label is missing or makes no sense.
        OfflineError: The data would have to come from the hub, which is out of reach.
    """
    task, files, source = _read_task(name, Asked(text_columns, label_column, kind), data_dir)
    train, validation = _two_splits([_usable(task, file) for file in files], source, seed)
    if max_train_samples:
        train = train.select(range(min(max_train_samples, len(train))))
    return TaskData(task, train, validation, source)


def check_task(name: str, data_dir: Path | None = None) -> None:
    """Refuse a task that is not known, or a place of data that is not there; nothing is read.

    Args:
        name: A task of the table, or the path of a data file or folder.
        data_dir: Folder with the task's files.

    Raises:
        InputError: The nearest name is told.
    """
    if _is_own(name):
        check_place(Path(name), file=True)
        return
    known_task(name)
    if data_dir is not None:
        check_place(data_dir)


def load_split(
    name: str,
    split: str | None = None,
    data_dir: Path | None = None,
    text_columns: str | None = None,
    label_column: str | None = None,
    seed: int = 0,
    kind: str | None = None,
) -> TaskData:
    """Read the rows of one split, to score a model on; the others need not be there.

    Args:
        name: A task of the table, or the path of a data file or folder.
        split: The split; the task's validation split where None. Of a single file that is what `load_task` holds
            out, and `all` is every row.
        data_dir: Folder with the task's files, instead of the hub.
        text_columns: Columns with the text, as `a` or `a,b`.
        label_column: Column with the label.
        seed: Decides which rows of a single file are held out.
        kind: The kind of task, where the columns of one's own data do not say it.

    Returns:
        The rows as validation rows; the first of them stands for the training rows, which nobody needs.

    Raises:
        InputError: As `load_task`; or a single file has no such split.
        OfflineError: The data would have to come from the hub, which is out of reach.
    """
    task, files, source = _read_task(
        name, Asked(text_columns, label_column, kind), data_dir, split or VALIDATION
    )
    rows = _usable(task, files[0])
    if task.is_own and Path(name).is_file() and split != ALL:
        if split not in (None, VALIDATION):
            raise InputError(f"--split {split}: {name} is a single file", f"say {VALIDATION} or {ALL}")
        _, rows = _two_splits([rows], source, seed)
    return TaskData(task, rows.select([0]), rows, source)


def _read_task(
    name: str, asked: Asked, data_dir: Path | None, only: str | None = None
) -> tuple[Task, list[File], str]:
    """Find a task and read its files: those of training and validation, or of one split only."""
    splits = (only,) if only else (TRAIN, VALIDATION)
    check_task(name, data_dir)
    if _is_own(name):
        own = Path(name)
        files = _own_files(own, splits)
        task = own_task(own.stem, files[0].name, shapes_of(files[0].rows), asked)
        check_columns(task, shapes_of(files[0].rows), files[0].name)
        values = values_of(files[0].rows, task.label_column) if task.label_column else []
        return with_metrics(task.kind.complete(task, values)), files, str(own)
    task = changed(known_task(name), asked)
    named = {TRAIN: task.train, VALIDATION: task.validation}
    return task, *_known_files(task, [named.get(split, split) for split in splits], data_dir)


def _is_own(name: str) -> bool:
    """Say whether a name means data of one's own, and no task of the table."""
    return name not in tasks() and (Path(name).exists() or Path(name).suffix in SUFFIXES)


def _own_files(path: Path, splits: Sequence[str]) -> list[File]:
    """Read one's own data: one file, or those of some splits."""
    if path.is_dir():
        return [_file(find_split(path, split, split not in (TRAIN, VALIDATION))) for split in splits]
    return [_file(path)]


def _known_files(task: Task, splits: Sequence[str], data_dir: Path | None) -> tuple[list[File], str]:
    """Return splits of a known task, and where they come from."""
    folder = Path(str(resources.files(task.bundled))) if task.bundled and data_dir is None else data_dir
    if folder is None:
        return _from_hub(task, splits), "/".join(task.hub)
    usual = (task.train, task.validation)
    unknown = set(splits) - {*usual}
    if data_dir is None and unknown:
        raise InputError(f"task {task.name} has no split {unknown.pop()}", f"it has {' and '.join(usual)}")
    files = [_file(find_split(folder, split, split not in usual)) for split in splits]
    return files, "bundled" if data_dir is None else str(data_dir)


def _file(path: Path) -> File:
    from datasets import Dataset

    return File(str(path), Dataset(read_table(path)))


def _from_hub(task: Task, names: Sequence[str]) -> list[File]:
    import datasets

    source = "/".join(task.hub)
    try:
        splits = datasets.load_dataset(*task.hub)
    except Exception as error:  # offline, proxies and a missing cache each raise their own type
        reason = "it is out of reach" if is_out_of_reach(error) else words_of(error)
        raise OfflineError(
            f"data of task {task.name} ({source}) cannot be had from the hub: {reason}",
            f"put {' and '.join(names)} files (parquet, JSONL or CSV) into a folder and add --data-dir",
        ) from None
    missing = [name for name in names if name not in splits]
    if missing:
        raise InputError(f"{source} has no split {missing[0]}", f"it has {', '.join(splits)}")
    return [File(f"{source}, split {name}", splits[name]) for name in names]


def _usable(task: Task, file: File) -> "Dataset":
    """Return the rows that have a label; the hub marks those of test sets with -1.

    Raises:
        InputError: A column or a row makes no sense, or no row has a label.
    """
    check_columns(task, shapes_of(file.rows), file.name)
    found = list(_read(task, file))
    usable = [number for number, target in enumerate(found) if target is not None]
    if not usable:
        raise InputError(
            f"{file.name}: no row of task {task.name} can be trained on: none has a label, or all are empty",
            "name the right columns with --text-columns A,B and --label-column C",
        )
    if len(usable) == len(found):
        return file.rows
    log.warning(
        "%s: %s of %s rows have no label or no text, and are left out",
        file.name,
        f"{len(found) - len(usable):,}",
        f"{len(found):,}",
    )
    return file.rows.select(usable)


def targets(task: Task, rows: "Dataset") -> list[Target]:
    """Return what a model is trained to say of each row; `load_task` has checked that every row has a target."""
    return list(_read(task, File("the data", rows)))


def _read(task: Task, file: File) -> Iterator[Target]:
    """Yield each row's target; what is wrong with a row is said with its file and number."""
    read = task.kind.reader(task)
    columns = [values_of(file.rows, column) for column in task.all_columns]
    for number, values in enumerate(zip(*columns, strict=True), 1):
        try:
            empty = [name for name, value in zip(task.columns, values, strict=False) if value is None]
            if empty:
                raise InputError(f"column {empty[0]!r} is empty", "remove the row or fill it in")
            yield read(*values)
        except InputError as error:
            raise InputError(f"{file.name}, row {number}: {error.message}", error.fix) from None


def _two_splits(files: "list[Dataset]", source: str, seed: int) -> tuple["Dataset", "Dataset"]:
    """Return training and validation rows; of a single file, some are held out."""
    if len(files) == 2:
        return files[0], files[1]
    if len(files[0]) < 2:
        raise InputError(f"{source} has one row, which cannot be both trained on and held out")
    parts = files[0].train_test_split(test_size=HELD_OUT, seed=seed)
    return parts["train"], parts["test"]
