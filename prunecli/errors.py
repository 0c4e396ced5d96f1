"""Every error that prunecli raises on purpose.

    PruneError                   exit code 2: what happened, and how to mend it
    ├── InputError               a file, folder, record or option value cannot be used
    │   └── NothingLeftError     a budget pays for no unit at all
    ├── UnsupportedModelError    the checkpoint is no encoder that prunecli has a table for
    ├── MaskError                masks do not fit the model, or cannot be cut
    ├── TargetExistsError        the output folder is already there
    └── OfflineError             something is needed from the hub, and the hub is out of reach

Commands never catch them: `prunecli.cli.app.main` prints `error:` and `hint:` and exits with `exit_code`.
"""

import errno
from enum import IntEnum

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows knows no quotas


class ExitCode(IntEnum):
    """What the exit status of every command means."""

    DONE = 0
    VERDICT_NO = 1
    BAD_INPUT = 2
    INTERNAL = 3
    INTERRUPTED = 130


class PruneError(Exception):
    """Something a user can mend.

    Args:
        message: What happened, naming the file, tensor or option.
        fix: The option, command or edit that mends it.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if fix is not None:
            self.add_note(f"hint: {fix}")  # for tracebacks, where the library is used


class InputError(PruneError):
    """A file, folder, record or option value cannot be used."""


class NothingLeftError(InputError):
    """A budget pays for no unit at all."""


class UnsupportedModelError(PruneError):
    """The checkpoint is no encoder that prunecli has a table for."""


class MaskError(PruneError):
    """Masks do not fit the model, or cannot be cut."""


class TargetExistsError(PruneError):
    """The output folder is already there."""


class OfflineError(PruneError):
    """Something is needed from the hub, and the hub is out of reach."""


def mend(error: OSError) -> str:
    """Return what helps where something cannot be written."""
    return (
        "free some space, or write elsewhere"
        if error.errno in FULL
        else "check who may write there, or write elsewhere"
    )


def words_of(error: Exception) -> str:
    """Return what an error of a library says: the system's words, its first line, or the name of its type."""
    words = getattr(error, "strerror", None) or str(error).strip()
    return str(words or type(error).__name__).splitlines()[0]
