"""Kinds of tasks, one file each; the folder's listing is the registry.

`--task-kind multi-label` is `multi_label.py`, which defines `KIND`.
"""

import difflib
import importlib
import pkgutil

from prunecli.errors import InputError
from prunecli.tasks.kinds.base import Kind


def names() -> list[str]:
    """Return the kinds that there are."""
    return sorted(
        module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if module.name != "base"
    )


def get(name: str) -> Kind:
    """Import one kind.

    Raises:
        InputError: There is no such kind.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"kinds: {', '.join(names())}"
        raise InputError(f"--task-kind {name!r} is not known", hint)
    kind: Kind = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").KIND
    return kind
