"""What predictions lose without whole layers, one after the other."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from prunecli.calibration.directions import counted, is_multi_label
from prunecli.calibration.divergence import divergence
from prunecli.calibration.sublayers import Batch, layers_of
from prunecli.encoders import Encoder
from prunecli.masks.gates import gate_layer

LEAST = 1e-3  # what a later layer costs more than the one before, as a share of it
MOST = 8  # batches that are looked at: L layers take L (L + 1) / 2 passes


@torch.no_grad()
def removal_costs(model: nn.Module, encoder: Encoder, batches: Sequence[Batch], kept_L1: Tensor) -> Tensor:
    """Return what each layer's removal costs when its turn comes, [layers, 1]; -1 where it has gone already.

    The cheapest layer goes first, the next is the cheapest without it, and so on. Costs are divergences from the
    predictions of the model as it is, and always more than for those before.

    Args:
        model: In evaluation mode.
        encoder: Its table and sizes.
        batches: Model inputs; every so many of them is looked at.
        kept_L1: Layers that have not gone yet.
    """
    seen = batches[:: -(-len(batches) // MOST)]
    wanted = [model(**batch) for batch in seen]
    multi_label = is_multi_label(model)

    def distance(layer: nn.Module) -> float:
        with left_out(layer):
            pairs = zip(seen, wanted, strict=True)
            each = [
                divergence(model(**batch), outputs, multi_label, counted(batch)) for batch, outputs in pairs
            ]
        return float(torch.stack(each).mean())

    costs_L1 = torch.full_like(kept_L1, -1.0)
    layers = layers_of(model, encoder)
    left = [layer for layer in range(len(layers)) if kept_L1[layer].any()]
    before, cost = 0.0, 1e-9
    with ExitStack() as gone:
        while left:
            distances = {layer: distance(layers[layer]) for layer in left}
            cheapest = min(left, key=distances.__getitem__)
            cost = max(distances[cheapest] - before, cost * (1 + LEAST))
            costs_L1[cheapest], before = cost, distances[cheapest]
            gone.enter_context(left_out(layers[cheapest]))
            left.remove(cheapest)
    return costs_L1


@contextmanager
def left_out(layer: nn.Module) -> Iterator[None]:
    """Let a layer write what it reads while the block runs."""
    handle = gate_layer(layer, lambda _: torch.zeros(1))
    try:
        yield
    finally:
        handle.remove()
