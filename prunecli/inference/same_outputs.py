"""Changes of a live model that are kept only where its outputs stay the same.

Faster parts are made for models of one build. Whether a model is of that build is not guessed: it computes a batch
before and after, and unless both agree everything is put back.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

TOLERANCE = 1e-5  # of the largest output, or of 1: what another order of summation changes

Change = Callable[["Swaps"], None]


class Swaps:
    """What was put in place of what, until it is taken back."""

    def __init__(self) -> None:
        self.undo: list[Callable[[], object]] = []

    def put(self, parent: nn.Module, name: str, module: nn.Module) -> None:
        """Put a module in place of another."""
        self.undo.append(partial(parent.set_submodule, name, parent.get_submodule(name)))
        parent.set_submodule(name, module)

    def hook(self, module: nn.Module, hook: Callable[..., object]) -> None:
        """Let a function see, and change, what a module is called with."""
        self.undo.append(module.register_forward_pre_hook(hook).remove)

    def take_back(self) -> None:
        """Put everything back."""
        for undo in reversed(self.undo):
            undo()


def kept_if_same(outputs: Callable[[], Tensor], change: Change) -> bool:
    """Change a model, and take that back unless its outputs are what they were.

    Args:
        outputs: Computes them.
        change: Makes the change; an error says that the model is of another build.

    Returns:
        Whether the change stands.
    """
    expected, swaps = outputs(), Swaps()
    try:
        change(swaps)
        allowed = TOLERANCE * expected.abs().max().clamp_min(1.0)
        same = bool((outputs() - expected).abs().max() <= allowed)
    except Exception:  # whatever a model of another build says of it
        same = False
    if not same:
        swaps.take_back()
    return same
