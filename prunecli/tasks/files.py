"""Local data files as tables: JSONL, JSON, CSV, TSV and Parquet, read by pyarrow."""

import re
from pathlib import Path
from typing import Any

from prunecli.checkpoints import strict_json
from prunecli.errors import InputError, words_of
from prunecli.registry import nearest

CHANGED = re.compile(
    r"Column\(/(.+)\) changed from (\w+) to (\w+)"
)  # what pyarrow says of a field of two types
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def find_split(folder: Path, split: str, exact: bool = False) -> Path:
    """Find the file of a split in a folder: `train.parquet`, `validation.jsonl` and so on.

    Args:
        folder: The folder.
        split: The split; `validation` may also be called `dev`.
        exact: Whether `validation_matched` has to be called so, and not `validation` alone.

    Raises:
        InputError: The folder or the file is missing.
    """
    plain = () if exact else (split.split("_")[0],)
    for name in (split, *plain, *(("dev",) if "validation" in (split, *plain) else ())):
        for suffix in SUFFIXES:
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
    there = sorted(file.name for file in folder.iterdir() if file.suffix in SUFFIXES)
    put = f"put {split}{{{','.join(SUFFIXES)}}} into it"
    inner = sorted(path.parent.name for suffix in SUFFIXES for path in folder.glob(f"*/{split}{suffix}"))
    if inner:
        raise InputError(
            f"{folder} has no {split} file", f"name one of the folders in it: {', '.join(inner)}"
        )
    raise InputError(f"{folder} has no {split} file", f"it has {', '.join(there)}; {put}" if there else put)


def check_place(place: Path, file: bool = False) -> None:
    """Refuse a place of data that is not there, before anything is read; the nearest name is told.

    Args:
        place: A folder with a task's files.
        file: Whether one file will do.

    Raises:
        InputError: There is no such folder or file.
    """
    if place.is_dir() or (file and place.is_file()):
        return
    if place.is_file():
        raise InputError(f"{place} is a file, not a folder", "name the folder with the task's files")
    beside = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
    raise InputError(
        f"{place} does not exist",
        nearest(place.name, beside)
        or "name a folder of train and validation files, or a data file as the task",
    )


def read_table(path: Path) -> Any:
    """Read one file as a pyarrow table.

    Raises:
        InputError: The suffix is unknown, or the file is broken or empty.
    """
    import pyarrow
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    try:
        if path.suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
        elif path.suffix in (".csv", ".tsv"):
            options = pyarrow.csv.ParseOptions(
                delimiter="\t" if path.suffix == ".tsv" else ",", newlines_in_values=True
            )
            table = pyarrow.csv.read_csv(path, parse_options=options)
        elif path.suffix in (".jsonl", ".json"):
            table = pyarrow.json.read_json(path)
        else:
            raise InputError(f"{path}: a data file ends with one of {', '.join(SUFFIXES)}")
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None
    if table.num_rows == 0:
        raise InputError(f"{path} holds no rows")
    return table


def _unreadable(path: Path, error: Exception) -> InputError:
    """Say what is wrong with a file, and where, in our words rather than pyarrow's."""
    if isinstance(error, OSError) and error.strerror:
        return InputError(f"{path} cannot be read: {error.strerror}", "check its name and permissions")
    if path.stat().st_size == 0:
        return InputError(f"{path} holds no rows", "name the file that has them")
    if path.suffix == ".parquet":
        return unreadable_parquet(str(path), error)
    words = words_of(error)
    if path.suffix in (".jsonl", ".json"):
        return _broken_line(path) or _two_types(path, words)
    return InputError(f"{path} cannot be read: {words}", "check its quotes, or write JSONL")


def unreadable_parquet(name: str, error: Exception) -> InputError:
    """Say what is wrong with a Parquet file: it is none, or what pyarrow says of one."""
    from pyarrow import ArrowInvalid

    if isinstance(error, ArrowInvalid):
        return InputError(f"{name} is no Parquet file, or not all of one", "write or copy it once more")
    return InputError(f"{name} cannot be read: {words_of(error)}", "write it with another codec, or as JSONL")


def _broken_line(path: Path) -> InputError | None:
    """Name the first line that holds no JSON object; None where each does."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.lstrip().startswith("["):
                said = f"{path} holds one JSON array, not an object a line"
                return InputError(said, f"write JSONL: jq -c '.[]' {path} > rows.jsonl")
            try:
                strict_json.parse_object(line if line.strip() else "{}", f"{path} line {number}")
            except InputError as broken:
                return InputError(broken.message, "each line must hold one JSON object")
    return None


def _two_types(path: Path, words: str) -> InputError:
    """Name the field that pyarrow found in two types; what else it may say of good JSON is passed on."""
    changed = CHANGED.search(words)
    if changed is None:
        return InputError(f"{path} cannot be read: {words}", "write the same fields in every line")
    name, one, other = changed.groups()
    return InputError(
        f"{path}: field {name!r} is {one} in one line and {other} in another", "write it alike in every line"
    )
