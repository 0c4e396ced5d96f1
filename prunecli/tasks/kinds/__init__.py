"""Kinds of tasks, one file each; the folder's listing is the registry.

`--task-kind multi-label` is `multi_label.py`, which defines `KIND`.
"""

from prunecli.registry import Registry
from prunecli.tasks.kinds.base import Kind

_KINDS: Registry[Kind] = Registry(__name__, "KIND")
names = _KINDS.names


def get(name: str) -> Kind:
    """Import one kind.

    Raises:
        InputError: There is no such kind.
    """
    return _KINDS.chosen(name, "--task-kind")
