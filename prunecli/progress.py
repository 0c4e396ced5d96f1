"""How far the work is: what operations tell while they run."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # (what is going on, steps done, steps in all)


def silent(label: str, done: int, total: int) -> None:
    """Tell nobody."""
