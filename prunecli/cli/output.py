"""The only printer. Data go to standard output, everything said goes to standard error.

No colour, bar or control character is written where there is no terminal; rich honours NO_COLOR and FORCE_COLOR.
"""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prunecli import demo
from prunecli.checkpoints.strict_json import finite
from prunecli.errors import PruneError
from prunecli.fields import plain

SCHEMA_VERSION = 1
SECONDS_BETWEEN = 2.0  # lines of progress, where there is no bar
LIBRARIES = {
    # Bars and chatter stay out of logs.
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    # Threads of torch that have nothing to do sleep. They would spin, and where others use the machine that takes the
    # core from the thread that all wait for: many times as long.
    "OMP_WAIT_POLICY": "PASSIVE",
}
NUMERIC = re.compile(r"[-\d.,]*( ?[%s])?")


class Output:
    """Prints one command's results and talk.

    Args:
        as_json: Print one JSON object instead of text.
        quiet: Print only the one value that a script wants; say nothing but errors.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.first = os.environ.get("RANK", "0") == "0"  # under torchrun, one process speaks for all
        quiet = quiet or not self.first
        self.as_json, self.quiet = as_json, quiet
        self.talk = Console(stderr=True)
        self.said = -SECONDS_BETWEEN  # when progress was last said
        self.has_data = False  # whether records stand on standard output already, which is then theirs alone
        level = logging.ERROR if quiet else logging.INFO
        handler = _TalkHandler(self.talk)
        logger = logging.getLogger("prunecli")
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
        _set_libraries()

    def result(self, result: Any, quiet: str = "", verb: str = "") -> None:
        """Print a result dataclass as JSON, or the one value for a script; text was said by `table` and `line`."""
        if not self.first:
            return
        if self.as_json:
            print(_json({"verb": verb, **asdict(result)}))
        elif self.quiet and quiet:
            print(quiet)

    def error(self, error: PruneError, verb: str) -> None:
        """Print an error as JSON where that is asked for; `say_error` says it to people in any case."""
        if self.as_json and self.first and not self.has_data:
            said = {"message": error.message, "fix": error.fix, "exit_code": int(error.exit_code)}
            print(_json({"verb": verb, "error": said}))

    def data(self, text: str, value: dict[str, Any]) -> None:
        """Print something that is data itself: as text, or as JSON."""
        print(_json(value) if self.as_json else text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """Print a table for people; columns of numbers are right-aligned."""
        if self.as_json or self.quiet:
            return
        table = Table(title=title or None, title_justify="left", header_style="bold")
        for number, column in enumerate(columns):
            numeric = all(NUMERIC.fullmatch(row[number]) for row in rows)
            table.add_column(_spoken(column), justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_spoken(cell) for cell in row))
        self.talk.print(table)

    def findings(self, findings: Sequence[Any]) -> list[str]:
        """Print a table of checks, and return the names of those that failed."""
        rows = [[item.check, item.status, item.detail] for item in findings]
        self.table(["check", "verdict", "detail"], rows)
        return [item.check for item in findings if item.status == "fail"]

    def line(self, text: str) -> None:
        """Say one line."""
        if not (self.as_json or self.quiet):
            self.talk.print(_spoken(text), highlight=False, soft_wrap=True)

    @contextmanager
    def progress(self) -> Iterator[Any]:
        """Show a bar on a terminal, and a line now and then elsewhere.

        Yields:
            A function (label, done, total).
        """
        if self.quiet or not self.talk.is_terminal:
            yield self._say_progress
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            BarColumn(20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self.talk, transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda label, done, total: bar.update(task, description=label, completed=done, total=total)

    def _say_progress(self, label: str, done: int, total: int) -> None:
        if not self.quiet and time.monotonic() - self.said >= SECONDS_BETWEEN:
            self.said = time.monotonic()
            self.line(f"{label} ({done}/{total})" if total > 1 else label)


class _TalkHandler(logging.Handler):
    """Prints what operations log; warnings and errors say that they are."""

    def __init__(self, talk: Console) -> None:
        super().__init__()
        self.talk = talk

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record as one line."""
        level = "" if record.levelno <= logging.INFO else f"[bold yellow]{record.levelname.lower()}:[/] "
        self.talk.print(level + _spoken(record.getMessage()), highlight=False, soft_wrap=True)


def _json(value: dict[str, Any]) -> str:
    return json.dumps({"schema_version": SCHEMA_VERSION, **finite(plain(value))}, allow_nan=False)


def say_error(message: str, fix: str | None) -> None:
    """Print what went wrong and how to mend it, on standard error."""
    console = Console(stderr=True)
    console.print(f"[bold red]error:[/] {_spoken(message)}", highlight=False, soft_wrap=True)
    if fix:
        console.print(f"[bold]hint:[/] {_spoken(fix)}", highlight=False, soft_wrap=True)


def _spoken(text: str) -> str:
    """Return text for people, in which the bundled model is called as they call it."""
    return escape(text.replace(str(demo.MODEL), demo.NAME))


def _set_libraries() -> None:
    """Set what libraries read when they are imported, where a user has not."""
    for name, value in LIBRARIES.items():
        os.environ.setdefault(name, value)
    if not sys.stderr.isatty():
        os.environ.setdefault("NO_COLOR", "1")
