"""Kinds of heads, one file each; the folder's listing is the registry.

A file defines `KIND`; the head class that a checkpoint was saved from says which one reads it.
"""

import importlib
import pkgutil
from functools import cache

from prunecli.errors import UnsupportedModelError
from prunecli.inference.kinds.base import Kind


@cache
def _kinds() -> tuple[Kind, ...]:
    names = (module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")
    return tuple(importlib.import_module(f"{__name__}.{name}").KIND for name in names)


def for_architecture(architecture: str | None) -> Kind:
    """Find the kind for the class name in a `config.json`.

    Raises:
        UnsupportedModelError: No kind reads this head.
    """
    for kind in _kinds():
        if architecture is not None and architecture.endswith(kind.head):
            return kind
    what = "names no architecture" if architecture is None else f"names {architecture}"
    raise UnsupportedModelError(
        f"config.json {what}, which predict cannot use",
        f"take a checkpoint with a trained head: {', '.join('*' + kind.head for kind in _kinds())}",
    )
