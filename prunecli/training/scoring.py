"""Pruning without training: scores, a budget, and a refit of what stays; once, or in rounds."""

import copy
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from prunecli.calibration.reconstruction import Dense, reconstruct
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


class Pruner:
    """A session's model with gates, its dense twin, and the examples that both are looked at with.

    Args:
        session: Model and data; the model gets gates, which stay.
    """

    def __init__(self, session: Session) -> None:
        self.model, self.encoder = session.loaded.model, session.loaded.encoder
        self.dense = copy.deepcopy(self.model)
        self.values = put_gates(self.model, self.encoder, session.config.groups)
        self.draw(session)

    def draw(self, session: Session) -> None:
        """Draw the examples that a session's seed says."""
        self.session = session
        self.batches, self.labels = calibration_examples(session)
        self.reference = (
            None if session.config.keep_weights else Dense(self.dense, self.encoder, *_split(self.batches))
        )

    def score(self, method: ScoreMethod) -> dict[str, Tensor]:
        """Return the scores [layers, units] of what the model has now, by group."""
        kept = {group: (value != 0).float() for group, value in self.values.items()}
        seen = Calibrated(self.model, self.encoder, self.batches, self.labels, kept, self.session.config.seed)
        return method.score(seen)

    def cut_to(
        self, scores: Mapping[str, Tensor], target: Target, share: float
    ) -> tuple[float, float] | None:
        """Let the gates stand at the best masks for a share of the dense price, and refit what stays.

        Returns:
            Divergence from the dense model on held-out examples before and after the refit.
        """
        kept = target.masks(scores, share)
        set_masks(self.values, kept)
        return None if self.reference is None else reconstruct(self.reference, self.model, kept)

    def restore(self) -> None:
        """Open all gates, and take back every refit."""
        set_masks(self.values, {group: torch.ones_like(value) for group, value in self.values.items()})
        with torch.no_grad():
            for parameter, dense in zip(self.model.parameters(), self.dense.parameters(), strict=True):
                parameter.copy_(dense)

    def mask_set(self, scores: Mapping[str, Tensor]) -> MaskSet:
        """Return the masks that the gates stand at."""
        masks = {group: value.float().cpu().numpy() for group, value in self.values.items()}
        return MaskSet(masks, {group: score_LU.float().cpu().numpy() for group, score_LU in scores.items()})


def prune_by_scores(session: Session, method: ScoreMethod, target: Target) -> Learned:
    """Choose what stays under a budget and refit that; the session's model keeps gates that stand at the masks.

    The budget falls geometrically over the method's rounds, and each round scores what the last one left.

    Args:
        session: Model and data.
        method: How units are scored.
        target: The budget.
    """
    learned, pruner = Learned(), Pruner(session)
    for number in range(1, method.rounds + 1):
        session.progress("scoring and refitting", number - 1, method.rounds)
        scores = pruner.score(method)
        learned.refit = pruner.cut_to(scores, target, target.share ** (number / method.rounds))
        if learned.refit is not None:
            log.info(
                "refit: divergence from the dense model %.4g -> %.4g on held-out examples", *learned.refit
            )
    learned.masks = pruner.mask_set(scores)
    learned.masked = session.evaluate(session.loaded.model)
    return learned


def unit_worth(session: Session, target: Target) -> dict[str, Tensor]:
    """Return what one-shot scores say that a unit is worth by its price, [layers, units] a group."""
    encoder, config = session.loaded.encoder, session.config
    model = session.loaded.model
    device = next(model.parameters()).device
    every = {group: torch.ones(mask_shape(encoder, group), device=device) for group in config.groups}
    batches, labels = calibration_examples(session)
    scores = one_shot.score(Calibrated(model, encoder, batches, labels, every, config.seed))
    return {
        group: score_LU / torch.from_numpy(target.prices.of_units(group)).to(score_LU)
        for group, score_LU in scores.items()
    }


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
