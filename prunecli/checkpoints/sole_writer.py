"""One writer at a time: a lock on the folder or file in which something grows.

The kernel drops the lock with its process, so a kill leaves nothing that the next run would stumble over. Windows has
no such locks on folders, and some network file systems have none at all: there nobody is kept out.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prunecli.errors import InputError

TRIES, PAUSE = 5, 0.01  # seconds: somebody may be looking, which takes no longer


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Hold a folder or file that stands, whatever becomes of its name meanwhile.

    Raises:
        InputError: Somebody else holds it.
    """
    with _held(path, shared=False):
        yield


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
    """Refuse what somebody holds, before any work is done; many may look at once.

    Raises:
        InputError: Somebody does.
    """
    if path.exists():
        with _held(path, shared=True):
            pass


@contextmanager
def _held(path: Path, shared: bool) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not (_locks(descriptor, shared) and _stands(descriptor, path)):
            raise InputError(
                f"another command is writing {path}", "wait until it has ended, or name another --out"
            )
        yield
    finally:
        os.close(descriptor)


def _locks(descriptor: int, shared: bool) -> bool:
    """Take the lock; say whether nobody else has it."""
    import fcntl  # not there on Windows

    for _ in range(TRIES):
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE)
        except OSError:  # a file system without locks
            return True
        else:
            return True
    return False


def _stands(descriptor: int, path: Path) -> bool:
    """Say whether what was opened still has this name: its writer may have published it since."""
    return path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
