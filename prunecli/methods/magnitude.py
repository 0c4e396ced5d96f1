"""The size of a unit's weights: the oldest baseline (Janowsky 1989; Li et al. 2017, https://arxiv.org/abs/1608.08710).

A unit's score is the sum of squares of all the weights that it owns; by its price that is their mean square, so
heads and neurons can be compared.
"""

import torch
from torch import Tensor, nn

from prunecli.encoders import Encoder
from prunecli.masks.units import ROWS, mask_shape, touches
from prunecli.methods.base import Calibrated, ScoreMethod


def score(model: Calibrated) -> dict[str, Tensor]:
    """Return the sum of squares of each unit's weights [layers, units]; no example takes part."""
    scores = {}
    for group, kept_LU in model.kept.items():
        rows = [_layer(model.model, model.encoder, group, layer) for layer in range(model.encoder.layers)]
        scores[group] = torch.where(kept_LU.bool(), torch.stack(rows).to(kept_LU), -1.0)
    return scores


def _layer(model: nn.Module, encoder: Encoder, group: str, layer: int) -> Tensor:
    base = model.base_model
    assert isinstance(base, nn.Module)
    if group == "layer":
        weights = base.get_submodule(encoder.layer(layer)).parameters()
        return torch.stack([weight.detach().float().square().sum().cpu() for weight in weights]).sum(0, True)
    total_U = torch.zeros(mask_shape(encoder, group)[1])
    for touch in touches(encoder, group, layer):
        weight = base.get_submodule(touch.module).weight
        assert isinstance(weight, Tensor)
        squares_N = weight.detach().float().square().sum(1 if touch.dim == ROWS else 0).cpu()
        total_U += squares_N.reshape(touch.blocks, -1, touch.width).sum((0, 2))
    return total_U


METHOD = ScoreMethod(
    paper="Li et al. 2017, https://arxiv.org/abs/1608.08710", score=score, reads="weights", layers=True
)
