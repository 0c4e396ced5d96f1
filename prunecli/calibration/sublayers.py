"""The sublayers of a live model: attention and feed-forward, each with the linear that its units feed.

Shapes: B batch, T tokens, U units, N columns of the output linear (units x width), H hidden.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from prunecli.encoders import Encoder
from prunecli.masks.units import PRICED_GROUPS, Touch, touches

Batch = Mapping[str, Tensor]


def sublayers(encoder: Encoder) -> list[Touch]:
    """Return where the units of each sublayer meet its output linear, bottom up."""
    return [
        touch
        for layer in range(encoder.layers)
        for group in PRICED_GROUPS
        for touch in touches(encoder, group, layer)
        if touch.gated
    ]


def layers_of(model: nn.Module, encoder: Encoder) -> list[nn.Module]:
    """Return the modules of the layers, bottom up; in a cut model, of those that are left."""
    base = model.base_model
    assert isinstance(base, nn.Module)
    modules = dict(base.named_modules())
    return [modules[name] for name in map(encoder.layer, range(encoder.layers)) if name in modules]


def linear_of(model: nn.Module, sublayer: Touch) -> nn.Linear:
    """Return the output linear of a sublayer; weight [H, N]."""
    base = model.base_model
    assert isinstance(base, nn.Module)
    linear = base.get_submodule(sublayer.module)
    assert isinstance(linear, nn.Linear)
    return linear


def expand(units_U: Tensor, sublayer: Touch) -> Tensor:
    """Return one entry a column [N] from one a unit."""
    return units_U.repeat_interleave(sublayer.width)


@contextmanager
def watched(linears: Sequence[nn.Module]) -> Iterator[list[list[tuple[Tensor, Tensor]]]]:
    """Keep (input, output) of each call of each linear while the block runs: one call, unless layers share weights."""
    seen: list[list[tuple[Tensor, Tensor]]] = [[] for _ in linears]

    def keep(calls: list[tuple[Tensor, Tensor]]) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _module, inputs, output: calls.append((inputs[0], output))

    handles = [linear.register_forward_hook(keep(calls)) for linear, calls in zip(linears, seen, strict=True)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
