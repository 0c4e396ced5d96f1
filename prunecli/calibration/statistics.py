"""What each sublayer reads and how the predictions depend on what it writes, summed over calibration examples.

Shapes: D directions, M tokens that are no padding, H hidden, N columns of the output linear.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunecli.calibration.backward import Pass, backward_passes
from prunecli.calibration.directions import counted, directions, is_multi_label
from prunecli.calibration.sublayers import Batch, linear_of, sublayers
from prunecli.encoders import Encoder
from prunecli.masks.units import Touch


@dataclass(slots=True)
class Statistics:
    """Sums for one sublayer; x is what its output linear reads, g a derivative by what it writes.

    Attributes:
        inputs_NN: Sum over tokens of |g|^2 x x': tokens that nothing depends on do not count.
        gradients_HH: Sum over tokens and directions of g g', divided by the sum of |g|^2.
    """

    inputs_NN: Tensor
    gradients_HH: Tensor


def gather(
    model: nn.Module, encoder: Encoder, batches: Sequence[Batch], seed: int
) -> dict[Touch, Statistics]:
    """Return the statistics of every sublayer, from predictions alone.

    Args:
        model: In evaluation mode; its parameters get no gradients.
        encoder: Its table and sizes.
        batches: Model inputs without labels, on the model's device.
        seed: Of the directions that are drawn, where there are too many outputs to take them all.
    """
    generator = torch.Generator().manual_seed(seed)
    multi_label = is_multi_label(model)

    def scalars(outputs: object, number: int) -> list[Tensor]:
        return list(directions(outputs, multi_label, counted(batches[number]), generator))

    sums = {place: _zeros(linear_of(model, place)) for place in sublayers(encoder)}
    weights = dict.fromkeys(sums, 0.0)
    for seen in backward_passes(model, encoder, batches, scalars):
        weights[seen.place] += _add(sums[seen.place], seen)
    for place, weight in weights.items():
        sums[place].gradients_HH /= max(weight, 1e-30)
    return sums


def _zeros(linear: nn.Linear) -> Statistics:
    new = linear.weight.new_zeros
    columns, hidden = linear.in_features, linear.out_features
    return Statistics(new(columns, columns), new(hidden, hidden))


@torch.no_grad()
def _add(sums: Statistics, seen: Pass) -> float:
    """Add a batch to the sums; return its sum of |g|^2."""
    g_DMH = seen.gradients_DBTH[:, seen.real_BT]
    weight_M = g_DMH.square().sum((0, -1))
    flat_MH = g_DMH.flatten(0, 1)
    sums.gradients_HH += flat_MH.T @ flat_MH
    x_MN = seen.read_BTN[seen.real_BT] * weight_M.sqrt()[:, None]
    sums.inputs_NN += x_MN.T @ x_MN
    return float(weight_M.sum())
