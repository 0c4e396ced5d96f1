"""`self-test`: what is kept of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from prunecli.fields import OUTPUT, Opt, VerbConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestConfig(VerbConfig):
    """`prunecli self-test`."""

    verb: ClassVar[str] = "self-test"

    keep: Annotated[Path | None, Opt("Folder in which to keep what the steps write.", OUTPUT)] = None
    report: Annotated[bool, Opt("Print versions of everything, to paste into a bug report.", OUTPUT)] = False
