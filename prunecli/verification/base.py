"""What a check is, and what it finds."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: Name of the check.
        status: Skipped is not passed: the detail says why.
        detail: What was measured or what is wrong.
    """

    check: str
    status: Status
    detail: str


def found(check: str, passed: bool, detail: str) -> Finding:
    """Return a pass or a fail."""
    return Finding(check, "pass" if passed else "fail", detail)
