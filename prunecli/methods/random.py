"""Units at random: what every method has to beat."""

import torch
from torch import Tensor

from prunecli.masks.prices import elements
from prunecli.methods.base import Calibrated, ScoreMethod


def score(model: Calibrated) -> dict[str, Tensor]:
    """Return a random number for each unit [layers, units], times its weights: so its price favours none."""
    generator = torch.Generator().manual_seed(model.seed)
    drawn = {
        group: torch.rand(kept_LU.shape, generator=generator).to(kept_LU) * elements(model.encoder, group)
        for group, kept_LU in model.kept.items()
    }
    return {group: torch.where(model.kept[group].bool(), drawn_LU, -1.0) for group, drawn_LU in drawn.items()}


METHOD = ScoreMethod(paper="none", score=score, layers=True)
