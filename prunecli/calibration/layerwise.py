"""Running a model one layer at a time over fixed examples, so that each layer is computed a few times, not L times.

What a layer gets besides the hidden states (masks, rotary angles, relative positions) is the same whatever
units are gone, so it is recorded once, from a forward pass of the whole model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from prunecli.calibration.sublayers import Batch, layers_of, linear_of, sublayers, watched
from prunecli.encoders import Encoder
from prunecli.errors import UnsupportedModelError

CLOSE = 1e-4  # an output that differs less from the plain sum of what was added has seen no norm

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


@torch.no_grad()
def record_calls(model: nn.Module, encoder: Encoder, batches: Sequence[Batch]) -> Calls:
    """Run the model once over the batches and note how its layers are called.

    Raises:
        UnsupportedModelError: Layers are computed more than once, or something happens between two of them.
    """
    check_chain(encoder)
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
    if not calls.chained:
        raise _unchained(encoder)
    return calls


def check_chain(encoder: Encoder) -> None:
    """Refuse layers that are computed more than once, which nobody can refit one by one.

    Raises:
        UnsupportedModelError: This encoder has such.
    """
    if encoder.repeats > 1:
        raise _unchained(encoder)


def _unchained(encoder: Encoder) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"the layers of this {encoder.model_type.name} are no plain chain, so they cannot be refitted one by one",
        "add --keep-weights",
    )


def run_layer(layer: nn.Module, hidden_BTH: Tensor, others: Arguments) -> Tensor:
    """Return what a layer writes, [B, T, H]."""
    args, kwargs = others
    return _hidden(layer(hidden_BTH, *args, **kwargs))


class _Enough(Exception):
    """Ends a layer's forward pass."""


class Stream:
    """One model on its way through the layers.

    Args:
        model: The model.
        encoder: Its table and sizes.
        calls: How its layers are called.

    Attributes:
        places: The sublayers of each layer: attention, then feed-forward.
        hidden: By batch: what the current layer reads, [B, T, H].
    """

    def __init__(self, model: nn.Module, encoder: Encoder, calls: Calls) -> None:
        self.model, self.encoder, self.calls = model, encoder, calls
        self.layers = layers_of(model, encoder)
        every = sublayers(encoder)
        self.places = [[place for place in every if place.layer == layer] for layer in range(encoder.layers)]
        self.hidden = list(calls.first)

    def run(self, layer: int, number: int) -> tuple[tuple[Tensor, Tensor], Tensor, bool]:
        """Run one layer on one batch.

        Returns:
            The residual stream [B, T, H] after attention and after feed-forward, before any norm; what the layer
            writes; whether that is the plain sum, which no norm follows.
        """
        hidden = self.hidden[number]
        with watched(self._watch(layer)) as seen:
            output = run_layer(self.layers[layer], hidden, self.calls.others[layer][number])
        (_, wrote_a), (_, wrote_f), (entered, _) = (calls[-1] for calls in seen)
        attended = hidden + wrote_a
        plain_sum = torch.allclose(output, attended + wrote_f, atol=CLOSE, rtol=CLOSE)
        between = (
            attended if plain_sum else entered
        )  # with norms after the sums, the FFN reads its own residual
        return (attended, between + wrote_f), output, plain_sum

    def before(self, layer: int, number: int, part: int, plain_sum: bool) -> tuple[Tensor, Tensor]:
        """Return what a sublayer's output linear reads [B, T, N], and the residual that its output joins."""
        hidden, linears = self.hidden[number], self._watch(layer)

        def stop(_module: nn.Module, _inputs: Any, _output: Any) -> None:
            raise _Enough

        with watched(linears) as seen:
            handle = linears[part].register_forward_hook(stop)
            try:
                run_layer(self.layers[layer], hidden, self.calls.others[layer][number])
            except _Enough:
                pass
            finally:
                handle.remove()
        read: Tensor = seen[part][-1][0]
        if part == 0:
            return read, hidden
        return read, hidden + seen[0][-1][1] if plain_sum else seen[2][-1][0]

    def _watch(self, layer: int) -> list[nn.Module]:
        """Return the output linears of attention and feed-forward, and the linear that the latter enters by."""
        base = self.model.base_model
        assert isinstance(base, nn.Module)
        entry = base.get_submodule(self.encoder.module(layer, self.encoder.family.ffn.inputs[0]))
        return [*(linear_of(self.model, place) for place in self.places[layer]), entry]


def _hidden(output: Any) -> Tensor:
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden
