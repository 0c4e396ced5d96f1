"""Kinds of heads, one file each; the folder's listing is the registry.

A file defines `KIND`; the head class that a checkpoint was saved from says which one reads it.
"""

from functools import cache

from prunecli.checkpoints.folder import Checkpoint
from prunecli.errors import UnsupportedModelError
from prunecli.inference.kinds.base import Kind
from prunecli.registry import Registry


@cache
def _kinds() -> tuple[Kind, ...]:
    return tuple(Registry[Kind](__name__, "KIND").load_all().values())


def kind_of(checkpoint: Checkpoint) -> Kind:
    """Find the kind that reads a checkpoint's head.

    Raises:
        UnsupportedModelError: No kind reads this head.
    """
    for kind in _kinds():
        if (checkpoint.architecture or "").endswith(kind.head):
            return kind
    raise UnsupportedModelError(
        f"{checkpoint.path} holds a {checkpoint.architecture or 'model of no named class'}, which predict cannot use",
        f"take a checkpoint with a trained head: {', '.join('*' + kind.head for kind in _kinds())}",
    )
