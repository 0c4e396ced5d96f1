"""Label names and ids: what a file may call a label, and which output of the head that is."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from prunecli.errors import InputError

if TYPE_CHECKING:
    from prunecli.tasks.base import Task

SHOWN = 10  # label names that a message lists
IGNORED = -100  # the id of what takes no part in a loss: torch skips it


def names_in(labels: Iterable[Any], column: str | None) -> tuple[str, ...]:
    """Return the names of all labels of some rows: sorted words, or the numbers from 0 to the largest.

    Args:
        labels: Words or numbers; None and -1 mean that there is none.
        column: Where they stand, for messages.

    Raises:
        InputError: There is no label, or the numbers are too large to be ids of classes.
    """
    labels = list(labels)
    foreign = next((label for label in labels if not isinstance(label, str | int | float | None)), None)
    if foreign is not None:
        raise InputError(
            f"column {column!r} holds {type(foreign).__name__} values, which are no labels",
            "name the right one with --label-column C, or leave --task-kind out",
        )
    values = sorted({label for label in labels if label == label} - {None, -1})  # NaN is not itself
    if not values:
        raise InputError(f"column {column!r} holds no labels", "name the right one with --label-column C")
    if isinstance(values[0], str):
        return tuple(values)
    if values[-1] >= max(len(labels), 2):
        raise InputError(
            f"column {column!r} holds numbers up to {values[-1]} in {len(labels)} rows: no class ids",
            "number the classes from 0, name them by words, or add --task-kind regression",
        )
    return tuple(str(number) for number in range(int(values[-1]) + 1))


def are_numbers(labels: tuple[str, ...]) -> bool:
    """Say whether labels have no names but their ids."""
    return labels == tuple(str(number) for number in range(len(labels)))


def id_of(task: "Task") -> Callable[[Any], int]:
    """Return the function from a label, a name or a number, to its id in the head.

    A number is the label's name where labels have such names: a file may hold 1, 2 and 3 of "1", "2", "3" and "more".

    The function raises an InputError for what is none of the task's labels.
    """
    by_name = {name: number for number, name in enumerate(task.labels)}
    are_names = any(name.isdecimal() for name in task.labels)
    place = {label: number for number, label in enumerate(task.order)}

    def find(label: Any) -> int:
        number = -1
        if isinstance(label, str):
            number = by_name.get(label, -1)
        elif isinstance(label, (int, float)) and float(label).is_integer():
            number = by_name.get(str(int(label)), -1) if are_names else int(label)
        if not 0 <= number < len(task.labels):
            raise InputError(
                f"label {label!r} is not one of the {len(task.labels)} labels of task {task.name} "
                f"({', '.join(task.labels[:SHOWN])})",
                "correct the label, or put a row with it into the training data",
            )
        return place.get(number, number)

    return find
