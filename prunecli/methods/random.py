"""Units at random: what every method has to beat."""

import torch
from torch import Tensor

from prunecli.masks import prices
from prunecli.methods.base import Calibrated, ScoreMethod


def score(model: Calibrated) -> dict[str, Tensor]:
    """Return a random number for each unit [layers, units], times its parameters: so its price favours none."""
    each = prices.parameters(model.encoder).only(tuple(model.kept))
    generator = torch.Generator().manual_seed(model.seed)
    drawn = {}
    for group, kept_LU in model.kept.items():
        at_random_LU = torch.rand(kept_LU.shape, generator=generator).double()
        drawn[group] = (at_random_LU * torch.from_numpy(each.of_units(group))).to(kept_LU)
    return {group: torch.where(model.kept[group].bool(), drawn_LU, -1.0) for group, drawn_LU in drawn.items()}


METHOD = ScoreMethod(paper="none", score=score, reads="weights", layers=True)
