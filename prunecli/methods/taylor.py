"""First-order Taylor expansion of the labelled loss by the gates.

A unit's score is the sum over examples of |dL/dgate|: how much the loss would move without it, whichever way. Being
linear in the gates, it makes a head look worth no more than a few neurons; so, as TextPruner does, heads and neurons
are ranked among themselves: scores are scaled until a group is worth its parameters.
"""

import torch
from torch import Tensor

from prunecli.calibration.label_gradients import score_by_loss
from prunecli.masks import prices
from prunecli.methods.base import Calibrated, ScoreMethod


def score(model: Calibrated) -> dict[str, Tensor]:
    """Return the sum of absolute derivatives of the examples' losses by each gate [layers, units]."""
    scores = score_by_loss(
        model.model,
        model.encoder,
        model.batches,
        model.labels,
        model.kept,
        lambda by_gate_BU: by_gate_BU.abs().sum(0),
    )
    each = prices.parameters(model.encoder)
    return {
        group: torch.where(
            score_LU < 0,
            -1.0,
            score_LU
            * torch.from_numpy(each.of_units(group)).to(score_LU)
            / score_LU.clamp_min(0).mean().clamp_min(1e-30),
        )
        for group, score_LU in scores.items()
    }


METHOD = ScoreMethod(
    paper="Michel et al. 2019, https://arxiv.org/abs/1905.10650; Molchanov et al. 2019, https://arxiv.org/abs/1906.10771",
    score=score,
    reads="labels",
)
