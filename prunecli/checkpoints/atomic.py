"""Folders and files that appear whole or not at all.

Everything is written beside the target, flushed to the disk, and renamed. A kill while it is written leaves the target
as it was; what is left over has a name that says so (`NAME.partial`) and the next run removes it. What is replaced
steps aside for the moment of the swap (`.NAME.replaced-...`); a kill in that moment leaves it there, and nobody
removes it. Of two runs at once with one target, the second is refused.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.sole_writer import claimed_folder
from prunecli.errors import FULL, InputError, TargetExistsError, mend


def partial_path(target: Path) -> Path:
    """Return where a folder or file is built before it gets its name."""
    return target.with_name(target.name + ".partial")


def check_target(target: Path, overwrite: bool) -> None:
    """Refuse a target that stands already, before any work is done.

    Raises:
        TargetExistsError: It exists, is not an empty folder, and `overwrite` is false.
        InputError: It is a file, a link, or what a file system is mounted on: these cannot be swapped.
    """
    if target.name in ("", ".."):
        raise InputError(f"{target} cannot be replaced", "name a folder of its own with --out")
    parent = next((parent for parent in target.parents if parent.exists()), Path())
    if not parent.is_dir():
        raise InputError(f"{parent} is a file, not a folder", "name another output folder")
    if target.is_symlink():
        raise InputError(f"{target} is a link, which would be replaced", f"name {target.resolve()} itself")
    if target.is_file():
        raise InputError(f"{target} is a file, not a folder", "name another output folder")
    if os.path.ismount(target):
        raise InputError(f"{target} is a mount point, which cannot be replaced", "name a folder in it")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise TargetExistsError(
            f"{target} already exists and is not empty",
            "name another output folder, or add --overwrite to replace it",
        )


def check_source(target: Path, source: Path) -> None:
    """Refuse to replace what is about to be read.

    Raises:
        InputError: The source is the target, or stands inside it.
    """
    if source.resolve().is_relative_to(target.resolve()):
        raise InputError(f"{target} holds {source}, which it would replace", "name another output folder")


@contextmanager
def staged_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Build a folder that appears at `target` when the block ends without an error.

    Yields:
        An empty folder beside the target to write into.

    Raises:
        TargetExistsError: The target stands and may not be replaced.
        InputError: It cannot be written, or another command is writing it.
    """
    check_target(target, overwrite)
    staging = partial_path(target)
    try:
        with claimed_folder(staging):
            try:
                check_target(target, overwrite)  # once more: another run may have ended since
                yield staging
                publish(staging, target)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
    except OSError as error:
        if not _is_of(error, staging, target):
            raise
        raise InputError(
            f"{target} could not be written: {error.strerror or error}",
            f"{mend(error)}; nothing was left behind",
        ) from error


def _is_of(error: OSError, staging: Path, target: Path) -> bool:
    """Say whether it is the folder that could not be written, and not something else that the block works with."""
    if error.errno in (*FULL, errno.EROFS, errno.EIO):
        return True
    if error.filename is None:
        return False
    place, mine = Path(os.fsdecode(error.filename)).resolve(), staging.resolve()
    return place.is_relative_to(mine) or mine.is_relative_to(place) or place == target.resolve()


def publish(staging: Path, target: Path) -> None:
    """Flush a folder to the disk and give it its name; what stood there goes only afterwards."""
    for path in (*staging.rglob("*"), staging):
        if path.is_file():
            path.chmod(0o644)  # the safetensors library makes files that only their owner may read
        _flush(path)
    if not target.exists():
        staging.rename(target)
        _flush(target.parent)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.replaced-", dir=target.parent))
    try:
        target.rename(aside / target.name)
        staging.rename(target)
    except BaseException:
        if not target.exists():
            (aside / target.name).rename(target)
        aside.rmdir()
        raise
    _flush(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def read_asked(file: Path, work: Path) -> dict[str, Any]:
    """Return the options that an interrupted run was begun with.

    Args:
        file: Where they stand.
        work: What the run was writing.

    Raises:
        InputError: They are not there, or not whole.
    """
    try:
        return strict_json.read_object(file)
    except InputError as error:
        raise InputError(
            f"{work} cannot be resumed: {error.message}", "start over with --overwrite instead"
        ) from None


def write_file(target: Path, text: str) -> None:
    """Write a small file that is there whole or not at all.

    Raises:
        InputError: It cannot be written.
    """
    partial = partial_path(target)
    try:
        partial.write_text(text, encoding="utf-8")
        _flush(partial)
        partial.replace(target)
    except OSError as error:
        raise InputError(f"{target} could not be written: {error.strerror or error}", mend(error)) from error


def _flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
