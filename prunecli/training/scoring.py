"""Pruning without training: scores, a budget, and a refit of what stays; at once, or down in stairs."""

import copy
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import torch
from torch import Tensor, nn

from prunecli.calibration.reconstruction import Dense, reconstruct
from prunecli.calibration.sublayers import linear_of, sublayers
from prunecli.errors import InputError, NothingLeftError
from prunecli.masks import MaskSet
from prunecli.masks.gates import put_gates, set_masks
from prunecli.masks.units import mask_shape
from prunecli.methods import one_shot
from prunecli.methods.base import Calibrated, ScoreMethod
from prunecli.progress import Progress
from prunecli.training.calibration_rows import calibration_examples, split
from prunecli.training.session import Learned, Session
from prunecli.training.target import Target

log = logging.getLogger(__name__)

TENTHS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
ROUNDING = 1e-9  # 0.98 - 0.97 is a little more than 0.01


@dataclass(frozen=True, slots=True)
class Stop:
    """What the model is cut to at one share of the dense price.

    Attributes:
        share: That share.
        masks: Masks, and the scores that they go by.
        refit: Divergence from the dense model on held-out examples before and after the refit, if there was one.
        seconds: Time to get here from the dense model: scoring, choosing and refitting.
    """

    share: float
    masks: MaskSet
    refit: tuple[float, float] | None
    seconds: float


class Pruner:
    """A session's model with gates, its dense twin, and the examples that both are looked at with.

    Args:
        session: Model and data; the model gets gates, which stay.
        dense: The same model, which stays as it is; a copy by default.
    """

    def __init__(self, session: Session, dense: nn.Module | None = None) -> None:
        self.model, self.encoder = session.loaded.model, session.loaded.encoder
        self.dense = copy.deepcopy(self.model) if dense is None else dense
        self.values = put_gates(self.model, self.encoder, session.config.groups)
        self.start = self.state()
        self.draw(session)

    def draw(self, session: Session) -> None:
        """Draw the examples that a session's seed says."""
        self.seed = session.config.seed
        self.batches, self.labels = calibration_examples(session)
        self.reference = None
        if not session.config.keep_weights:
            self.reference = Dense(self.dense, self.encoder, *split(self.batches))

    def descend(
        self, method: ScoreMethod, target: Target, shares: Sequence[float], progress: Progress
    ) -> Iterator[Stop]:
        """Cut the model to falling shares of the dense price, and refit what stays; each is what it would be alone.

        Where scores reach only so far, the way down goes by stairs: each is scored on what the last one left.

        Args:
            method: How units are scored.
            target: The prices.
            shares: Falling; the model stands at each while it is yielded.
            progress: Called with a label, steps done and steps in all.
        """
        stairs, left = stairs_to(shares[-1], method.reach), list(shares)
        steps, total = count(), 2 * len(stairs) - 1 + len(shares)
        state, seconds, scores = self.start, 0.0, dict[str, Tensor]()
        for stair in stairs:
            self.go_to(state)
            started = time.perf_counter()
            if stair < 1:
                progress(f"down to {stair:.2f}", next(steps), total)
                self._cut_to(target.masks(scores, stair))
                state = self.state()
            progress(f"scoring at {stair:.2f}", next(steps), total)
            scores = self._scores(method)
            seconds += time.perf_counter() - started
            while left and (method.reach is None or left[0] >= stair * method.reach):
                self.go_to(state)
                started, share = time.perf_counter(), left.pop(0)
                progress(f"refitting at {share:.2f}", next(steps), total)
                refit = self._cut_to(target.masks_in_time(scores, share))
                yield Stop(share, self._mask_set(scores), refit, seconds + time.perf_counter() - started)

    def _scores(self, method: ScoreMethod) -> dict[str, Tensor]:
        """Return the scores [layers, units] of what the model has now, by group."""
        kept = {group: (value != 0).float() for group, value in self.values.items()}
        return method.score(Calibrated(self.model, self.encoder, self.batches, self.labels, kept, self.seed))

    def _cut_to(self, kept: dict[str, Tensor]) -> tuple[float, float] | None:
        """Let the gates stand at masks, and refit what stays."""
        set_masks(self.values, kept)
        return None if self.reference is None else reconstruct(self.reference, self.model, kept)

    def state(self) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Return copies of all that a cut changes: gates, and the parameters that refits write."""
        gates = {group: value.clone() for group, value in self.values.items()}
        return gates, [parameter.detach().clone() for parameter in self._refitted()]

    @torch.no_grad()
    def go_to(self, state: tuple[dict[str, Tensor], list[Tensor]]) -> None:
        """Put the model back where it stood."""
        gates, parameters = state
        set_masks(self.values, gates)
        for parameter, was in zip(self._refitted(), parameters, strict=True):
            parameter.copy_(was)

    def _refitted(self) -> list[nn.Parameter]:
        return [
            parameter
            for place in sublayers(self.encoder)
            for parameter in linear_of(self.model, place).parameters()
        ]

    def _mask_set(self, scores: Mapping[str, Tensor]) -> MaskSet:
        """Return the masks that the gates stand at."""
        masks = {group: value.float().cpu().numpy() for group, value in self.values.items()}
        return MaskSet(masks, {group: score_LU.float().cpu().numpy() for group, score_LU in scores.items()})


def stairs_to(share: float, reach: float | None) -> list[float]:
    """Return the shares of the dense price at which scores are taken on the way to a lower one, from 1 down."""
    stairs = [1.0]
    while reach is not None and share < stairs[-1] * reach:
        stairs.append(stairs[-1] * reach)
    return stairs


def prune_by_scores(session: Session, method: ScoreMethod, target: Target) -> Learned:
    """Choose what stays under a budget and refit that; the session's model keeps gates that stand at the masks.

    Args:
        session: Model and data.
        method: How units are scored.
        target: The budget.
    """
    if target.share == 1:  # nothing goes: there is nothing to score
        return _everything(session)
    (stop,) = Pruner(session).descend(method, target, [target.share], session.progress)
    if stop.refit is not None:
        log.info("refit: divergence from the dense model %.4g -> %.4g on held-out examples", *stop.refit)
    return Learned(stop.masks, session.evaluate(session.loaded.model), refit=stop.refit)


def _everything(session: Session) -> Learned:
    """Put gates on the session's model that are all open."""
    model = session.loaded.model
    values = put_gates(model, session.loaded.encoder, session.config.groups)
    return Learned(
        MaskSet({group: value.float().cpu().numpy() for group, value in values.items()}),
        session.evaluate(model),
    )


def prune_to_drop(
    session: Session, method: ScoreMethod, target: Target, dense: Mapping[str, float]
) -> tuple[Learned, Target]:
    """Go down by tenths of the dense price while the headline metric holds, and return to the last that held.

    One step that misses may be noise: the way ends with two in a row.

    Args:
        session: Model and data.
        method: How units are scored.
        target: The prices.
        dense: Metrics of the dense model on the validation rows.

    Returns:
        What was found, and the target that it meets.

    Raises:
        InputError: The first tenth costs more than is allowed.
    """
    metric, allowed = session.task.metrics[0], session.config.max_drop or 0.0
    pruner, found, missed, first = Pruner(session), None, 0, None
    for stop in _payable(pruner.descend(method, target, TENTHS, session.progress)):
        masked = session.evaluate(session.loaded.model)
        drop = dense[metric] - masked[metric]
        first = drop if first is None else first
        said = "%.0f %% kept: %s %.4f, %+.4f%s"
        too_much = ", too much" if drop > allowed + ROUNDING else ""
        log.info(said, 100 * stop.share, metric, masked[metric], 0.0 - drop, too_much)
        missed = 0 if drop <= allowed + ROUNDING else missed + 1
        if missed == 0:
            found = stop, masked, pruner.state()
        if missed == 2:
            break
    if found is None:
        raise InputError(
            f"--max-drop {allowed:g}: without a tenth of the encoder's FLOPs {metric} falls by {first:.4f} already",
            "allow more, or train: --target-flops 0.9 --recovery-epochs 1",
        )
    stop, masked, state = found
    pruner.go_to(state)
    return Learned(stop.masks, masked, refit=stop.refit), replace(target, share=stop.share)


def _payable(stops: Iterator[Stop]) -> Iterator[Stop]:
    """Yield stops until one would pay for no unit.

    Raises:
        NothingLeftError: The first would.
    """
    passed = False
    try:
        for stop in stops:
            passed = True
            yield stop
    except NothingLeftError as error:
        if not passed:
            raise
        log.info("the way ends here: %s", error.message)


def unit_worth(session: Session, target: Target) -> dict[str, Tensor]:
    """Return what one-shot scores say that a unit is worth by its price, [layers, units] a group that they are for."""
    encoder, config = session.loaded.encoder, session.config
    if not target.prices.tables:
        return {}
    model = session.loaded.model
    device = next(model.parameters()).device
    every = {group: torch.ones(mask_shape(encoder, group), device=device) for group in target.prices.tables}
    batches, labels = calibration_examples(session)
    scores = one_shot.score(Calibrated(model, encoder, batches, labels, every, config.seed))
    return {
        group: score_LU / torch.from_numpy(target.prices.of_units(group)).to(score_LU)
        for group, score_LU in scores.items()
    }
