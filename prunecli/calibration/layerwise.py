"""Running a model one layer at a time over fixed examples, so that each layer is computed a few times, not L times.

What a layer gets besides the hidden states (masks, rotary angles, relative positions) is the same whatever
units are gone, so it is recorded once, from a forward pass of the whole model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from prunecli.calibration.sublayers import Batch
from prunecli.encoders import Encoder
from prunecli.errors import UnsupportedModelError

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(slots=True)
class Calls:
    """How the layers of a model are called.

    Attributes:
        first: What layer 0 reads, [B, T, H], by batch.
        others: Arguments besides hidden states, by layer and batch.
        chained: Whether each layer reads exactly what the one below it wrote.
    """

    first: list[Tensor] = field(default_factory=list)
    others: list[list[Arguments]] = field(default_factory=list)
    chained: bool = True


def layers_of(model: nn.Module, encoder: Encoder) -> list[nn.Module]:
    """Return the layers' modules, bottom up."""
    base = model.base_model
    assert isinstance(base, nn.Module)
    return [
        base.get_submodule(encoder.module(layer, "").removesuffix(".")) for layer in range(encoder.layers)
    ]


@torch.no_grad()
def record_calls(model: nn.Module, encoder: Encoder, batches: Sequence[Batch]) -> Calls:
    """Run the model once over the batches and note how its layers are called.

    Raises:
        UnsupportedModelError: Layers are computed more than once, or something happens between two of them.
    """
    layers = layers_of(model, encoder)
    calls = Calls(others=[[] for _ in layers])
    below: list[Tensor] = []  # what the layer below wrote last

    def before(number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if number == 0:
            calls.first.append(args[0])
        else:
            calls.chained &= args[0] is below[-1]
        calls.others[number].append((args[1:], kwargs))

    def after(output: Any) -> None:
        below[:] = [_hidden(output)]

    handles = []
    for number, layer in enumerate(layers):
        handles += [
            layer.register_forward_pre_hook(
                lambda _module, args, kwargs, number=number: before(number, args, kwargs), with_kwargs=True
            ),
            layer.register_forward_hook(lambda _module, _args, output: after(output)),
        ]
    try:
        for batch in batches:
            model(**batch)
    finally:
        for handle in handles:
            handle.remove()
    if encoder.repeats > 1 or not calls.chained:
        raise UnsupportedModelError(
            f"the layers of this {encoder.model_type.name} are no plain chain, so they cannot be refitted one by one",
            "add --no-reconstruct",
        )
    return calls


def run_layer(layer: nn.Module, hidden_BTH: Tensor, others: Arguments) -> Tensor:
    """Return what a layer writes, [B, T, H]."""
    args, kwargs = others
    return _hidden(layer(hidden_BTH, *args, **kwargs))


def _hidden(output: Any) -> Tensor:
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden
