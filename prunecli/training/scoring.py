"""Pruning without training: scores, a budget, and a refit of what stays; once, or in rounds."""

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunecli.calibration.reconstruction import reconstruct
from prunecli.calibration.sublayers import Batch
from prunecli.encoders import Encoder
from prunecli.masks import MaskSet
from prunecli.masks.allocation import choose
from prunecli.masks.gates import put_gates, set_masks
from prunecli.masks.prices import Prices
from prunecli.methods.base import Calibrated, ScoreMethod
from prunecli.training.callbacks import Progress

log = logging.getLogger(__name__)

HELD_OUT = 8  # one batch in so many decides whether a refit helps


@dataclass(frozen=True, slots=True)
class Examples:
    """Calibration examples on the model's device.

    Attributes:
        batches: Model inputs without labels.
        labels: Labels of each batch, by argument name of the model.
    """

    batches: Sequence[Batch]
    labels: Sequence[Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Target:
    """What the kept units may cost.

    Attributes:
        prices: The price of every width.
        share: Of the dense price.
        multiples: By group, what kept widths shall be multiples of.
    """

    prices: Prices
    share: float
    multiples: Mapping[str, int]


def prune_by_scores(
    model: nn.Module,
    encoder: Encoder,
    method: ScoreMethod,
    target: Target,
    groups: Sequence[str],
    examples: Examples,
    refit: bool,
    seed: int,
    progress: Progress,
) -> MaskSet:
    """Choose what stays of a model under a budget, and refit that in place.

    The budget falls geometrically over the method's rounds, and each round scores what the last one left.

    Args:
        model: In evaluation mode; gets gates that stand at the final masks.
        encoder: Its table and sizes.
        method: How units are scored.
        target: The budget.
        groups: Groups that may lose units.
        examples: What to look at the model with.
        refit: Whether output projections are refitted.
        seed: Of everything drawn.
        progress: Called with a label, rounds done and rounds in all.

    Returns:
        The masks, with the last scores as logits.
    """
    dense = copy.deepcopy(model) if refit else model
    values = put_gates(model, encoder, tuple(groups))
    kept = {group: value.clone() for group, value in values.items()}
    scores: dict[str, Tensor] = {}
    for number in range(1, method.rounds + 1):
        progress("scoring", number - 1, method.rounds)
        scores = method.score(Calibrated(model, encoder, examples.batches, examples.labels, kept, seed))
        budget = target.prices.dense * target.share ** (number / method.rounds)
        arrays = {group: score.double().cpu().numpy() for group, score in scores.items()}
        chosen = choose(arrays, target.prices, budget, target.multiples)
        kept = {group: torch.from_numpy(mask).to(kept[group]) for group, mask in chosen.items()}
        set_masks(values, kept)
        if refit:
            progress("refitting", number - 1, method.rounds)
            fit, held_out = _split(examples.batches)
            before, after = reconstruct(dense, model, encoder, kept, fit, held_out)
            log.info(
                "refit: divergence from the dense model %.4g -> %.4g on held-out examples", before, after
            )
    return MaskSet(
        {group: mask.float().cpu().numpy() for group, mask in kept.items()},
        {group: score.float().cpu().numpy() for group, score in scores.items()},
    )


def _split(batches: Sequence[Batch]) -> tuple[list[Batch], list[Batch]]:
    """Return the batches to fit to and those that judge; of every length some go to each."""
    held_out = [batch for number, batch in enumerate(batches) if number % HELD_OUT == HELD_OUT // 2]
    return [
        batch for number, batch in enumerate(batches) if number % HELD_OUT != HELD_OUT // 2
    ], held_out or list(batches)
