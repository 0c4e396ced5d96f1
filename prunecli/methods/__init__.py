"""Pruning methods, one file each; the folder's listing is the registry.

`--method gumbel-sigmoid` is `gumbel_sigmoid.py`, which defines `METHOD`.
"""

import difflib
import importlib
import pkgutil
from typing import TYPE_CHECKING

from prunecli.errors import InputError

if TYPE_CHECKING:
    from prunecli.methods.base import Method


def names() -> list[str]:
    """Return the methods that there are."""
    return sorted(
        module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if module.name != "base"
    )


def get(name: str) -> "Method":
    """Import one method.

    Raises:
        InputError: There is no such method.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"methods: {', '.join(names())}"
        raise InputError(f"--method {name!r} is not known", hint)
    method: Method = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").METHOD
    return method
