"""One writer at a time: a lock on the folder or file in which something grows.

The kernel drops the lock with its process, so a kill leaves nothing that the next run would stumble over. Windows has
no such locks on folders, and some network file systems have none at all: there nobody is kept out.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prunecli.errors import InputError


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Hold a folder or file that stands, whatever becomes of its name meanwhile.

    Raises:
        InputError: Somebody else holds it.
    """
    descriptor = os.open(path, os.O_RDONLY) if sys.platform != "win32" else None
    try:
        if descriptor is not None and not (_locks(descriptor) and _stands(descriptor, path)):
            raise InputError(
                f"another command is writing {path}", "wait until it has ended, or name another --out"
            )
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def claimed_folder(path: Path) -> Iterator[None]:
    """Make a folder and hold it; of what a killed run has left there, nothing stays.

    Raises:
        InputError: Somebody else holds it.
        OSError: It cannot be made or emptied.
    """
    path.mkdir(parents=True, exist_ok=True)
    with sole_writer(path):
        for inner in path.iterdir():
            shutil.rmtree(inner) if inner.is_dir() and not inner.is_symlink() else inner.unlink()
        yield


def check_free(path: Path) -> None:
    """Refuse what somebody holds, before any work is done.

    Raises:
        InputError: Somebody does.
    """
    if path.exists():
        with sole_writer(path):
            pass


def _locks(descriptor: int) -> bool:
    """Take the lock; say whether nobody else has it."""
    if sys.platform == "win32":
        return True
    import fcntl  # not there on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _stands(descriptor: int, path: Path) -> bool:
    """Say whether what was opened still has this name: its writer may have published it since."""
    return path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
