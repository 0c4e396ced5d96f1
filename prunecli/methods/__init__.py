"""Pruning methods, one file each; the folder's listing is the registry.

`--method gumbel-sigmoid` is `gumbel_sigmoid.py`, which defines `METHOD`.
"""

from typing import TYPE_CHECKING

from prunecli.registry import Registry

if TYPE_CHECKING:
    from prunecli.methods.base import Method

_METHODS: "Registry[Method]" = Registry(__name__, "METHOD")
names = _METHODS.names


def check(name: str, option: str = "--method") -> None:
    """Refuse a name that no method has, before torch is loaded.

    Raises:
        InputError: There is no such method.
    """
    _METHODS.check(name, option)


def get(name: str) -> "Method":
    """Import one method.

    Raises:
        InputError: There is no such method.
    """
    return _METHODS.chosen(name, "--method")
