"""First-order Taylor expansion of the labelled loss by the gates.

A unit's score is the sum over examples of |dL/dgate|: how much the loss would move without it, whichever way. Being
linear in the gates, it makes a head look worth no more than a few neurons; so, as TextPruner does, heads and neurons
are ranked among themselves: scores are scaled until a group is worth its parameters.
"""

import torch
from torch import Tensor

from prunecli.calibration.label_gradients import loss_by_gates
from prunecli.masks import prices
from prunecli.methods.base import Calibrated, ScoreMethod


def score(model: Calibrated) -> dict[str, Tensor]:
    """Return the sum of absolute derivatives of the examples' losses by each gate [layers, units]."""
    sums = {group: torch.zeros_like(kept_LU) for group, kept_LU in model.kept.items()}
    for place, by_gate_BU in loss_by_gates(model.model, model.encoder, model.batches, model.labels):
        if place.group in sums:
            sums[place.group][place.layer] += by_gate_BU.abs().sum(0).to(sums[place.group])
    each = prices.parameters(model.encoder)
    scores = {}
    for group, sum_LU in sums.items():
        price_L1 = torch.from_numpy(each.of_units(group)).to(sum_LU)
        scaled_LU = sum_LU * price_L1 / sum_LU.mean().clamp_min(1e-30)
        scores[group] = torch.where(model.kept[group].bool(), scaled_LU, -1.0)
    return scores


METHOD = ScoreMethod(
    paper="Michel et al. 2019, https://arxiv.org/abs/1905.10650; Molchanov et al. 2019, https://arxiv.org/abs/1906.10771",
    score=score,
    reads="labels",
)
