"""Pruning without training: scores, a budget, and a refit of what stays; once, or in rounds."""

import copy
import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from prunecli.calibration.reconstruction import reconstruct
from prunecli.calibration.sublayers import Batch
from prunecli.masks import MaskSet
from prunecli.masks.gates import put_gates, set_masks
from prunecli.masks.units import mask_shape
from prunecli.methods import one_shot
from prunecli.methods.base import Calibrated, ScoreMethod
from prunecli.training.distillation import LABELS
from prunecli.training.session import Learned, Session
from prunecli.training.target import Target

log = logging.getLogger(__name__)

HELD_OUT = 8  # one batch in so many decides whether a refit helps


def prune_by_scores(session: Session, method: ScoreMethod, target: Target) -> Learned:
    """Choose what stays under a budget and refit that; the session's model keeps gates that stand at the masks.

    The budget falls geometrically over the method's rounds, and each round scores what the last one left.

    Args:
        session: Model and data.
        method: How units are scored.
        target: The budget.
    """
    config, model, encoder = session.config, session.loaded.model, session.loaded.encoder
    learned = Learned()
    dense = copy.deepcopy(model)
    examples = calibration_examples(session)
    values = put_gates(model, encoder, config.groups)
    kept = {group: value.clone() for group, value in values.items()}
    for number in range(1, method.rounds + 1):
        session.progress("scoring", number - 1, method.rounds)
        scores = method.score(Calibrated(model, encoder, *examples, kept, config.seed))
        kept = target.masks(scores, target.share ** (number / method.rounds))
        set_masks(values, kept)
        if not config.keep_weights:
            session.progress("refitting", number - 1, method.rounds)
            learned.refit = reconstruct(dense, model, encoder, kept, *_split(examples[0]))
            log.info(
                "refit: divergence from the dense model %.4g -> %.4g on held-out examples", *learned.refit
            )
    learned.masks = MaskSet(
        {group: mask_LU.float().cpu().numpy() for group, mask_LU in kept.items()},
        {group: score_LU.float().cpu().numpy() for group, score_LU in scores.items()},
    )
    learned.masked = session.evaluate(model)
    return learned


def unit_worth(session: Session, target: Target) -> dict[str, Tensor]:
    """Return what one-shot scores say that a unit is worth by its price, [layers, units] a group."""
    model, encoder, groups = session.loaded.model, session.loaded.encoder, session.config.groups
    ones = {group: torch.ones(mask_shape(encoder, group)) for group in groups}
    scores = one_shot.score(
        Calibrated(model, encoder, *calibration_examples(session), ones, session.config.seed)
    )
    return {group: score_LU / target.unit_prices(group, score_LU) for group, score_LU in scores.items()}


def calibration_examples(session: Session) -> tuple[list[Batch], list[dict[str, Tensor]]]:
    """Draw training rows without replacement, in batches of like length: model inputs, and their labels apart."""
    rows, device = session.features.train, next(session.loaded.model.parameters()).device
    wanted = min(session.config.scored_rows, len(rows))
    drawn = np.random.default_rng(session.config.seed).choice(len(rows), wanted, replace=False)
    lengths = np.asarray(rows["length"])
    order = drawn[np.argsort(lengths[drawn], kind="stable")]
    size = session.config.batch_size
    batches: list[Batch] = []
    labels: list[dict[str, Tensor]] = []
    for start in range(0, len(order), size):
        chosen = rows.select(order[start : start + size]).remove_columns("length")
        batch = {name: value.to(device) for name, value in session.features.collate(list(chosen)).items()}
        labels.append({name: value for name, value in batch.items() if name in LABELS})
        batches.append({name: value for name, value in batch.items() if name not in LABELS})
    return batches, labels


def _split(batches: Sequence[Batch]) -> tuple[list[Batch], list[Batch]]:
    """Return the batches to fit to and those that judge; of every length some go to each."""
    judges = set(range(HELD_OUT // 2, len(batches), HELD_OUT)) or {len(batches) - 1}
    fit = [batch for number, batch in enumerate(batches) if number not in judges]
    return fit or list(batches), [batches[number] for number in sorted(judges)]
