"""The import of torch and transformers: seconds in which there is nothing to lose."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prunecli.errors import ExitCode


@contextmanager
def loading() -> Iterator[None]:
    """Let Ctrl-C end the process at once while libraries are imported.

    Raised as an exception there, it may be lost: libraries try imports, and take each failure for one of the import.
    """
    before = signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(*_: Any) -> None:
    sys.stderr.write("interrupted\n")
    sys.stderr.flush()
    os._exit(ExitCode.INTERRUPTED)
