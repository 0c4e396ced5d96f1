"""Masks that are learned: gates and weights train together, towards fixed penalties or towards a budget."""

import logging

from torch import Tensor, nn

from prunecli.calibration.reconstruction import Dense, reconstruct
from prunecli.errors import PruneError
from prunecli.methods.base import GateMethod
from prunecli.training.arguments import gate_schedule
from prunecli.training.budget import Lagrangian
from prunecli.training.calibration_rows import calibration_examples, check_enough, split
from prunecli.training.callbacks import ReportProgress
from prunecli.training.gates import Gates, attach
from prunecli.training.scoring import unit_worth
from prunecli.training.session import Learned, Session
from prunecli.training.target import Target

log = logging.getLogger(__name__)

FAR = 1.25  # times the target: gates that stand so far above it have not been trained to it


def learn(
    session: Session, method: GateMethod, target: Target | None, teacher: nn.Module | None, last: str | None
) -> Learned:
    """Train gates along with the weights; the session's model keeps its gates, set to the decisions.

    Args:
        session: Model and data.
        method: How gates are relaxed and decided.
        target: The budget; without one, the weights of the penalties decide how much goes.
        teacher: What to learn from besides the labels.
        last: Trainer checkpoint to go on from.
    """
    config, model, encoder = session.config, session.loaded.model, session.loaded.encoder
    learned, lagrangian = Learned(), None if target is None else Lagrangian(target.prices, target.share)
    gates = Gates(method, encoder, config.groups, config.mask_init, config.seed, lagrangian)
    if target is not None:
        gates.open_by(unit_worth(session, target))
    if config.freeze:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in session.loaded.new)
    attach(model, encoder, gates)
    trainer = session.trainer(
        model,
        gates=gates,
        masks_lr=config.gates_lr,
        weights={"sparsity": config.sparsity_loss, "quantization": config.quantization_loss},
        teacher=session.taught_by(teacher),
        callbacks=[gate_schedule(config, gates), ReportProgress(session.progress, session.task.metrics[0])],
    )
    trainer.train(resume_from_checkpoint=last)
    learned.history = [
        entry for entry in trainer.state.log_history if "loss" in entry or "eval_loss" in entry
    ]
    learned.steps = trainer.state.global_step
    evaluated = [
        entry for entry in learned.history if entry["step"] == learned.steps and "eval_loss" in entry
    ]
    if target is not None and lagrangian is not None:
        chances = gates.chances()
        learned.expected = float(lagrangian.expected(chances).detach())
        if learned.expected > target.share * FAR:
            log.warning(
                "the gates came down to %.0f %% in %d steps, %.0f %% were asked: first scores decide the rest; "
                "train longer",
                100 * learned.expected, learned.steps, 100 * target.share,
            )  # fmt: skip
        gates.fixed = target.by_chance(chances)
        trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # the refit is in float32
        learned.refit = _refit(session, gates.decisions(), teacher)
        evaluated = []
    learned.masks = gates.mask_set({})
    learned.masked = session.metrics(evaluated[-1] if evaluated else trainer.evaluate())
    return learned


def _refit(session: Session, kept: dict[str, Tensor], dense: nn.Module | None) -> tuple[float, float] | None:
    """Let what stays make up for what has gone since the last sample of the gates, as scores do it.

    Returns:
        Divergence from the dense model on held-out examples before and after; None where nothing is refitted.
    """
    config, model, encoder = session.config, session.loaded.model.train(False), session.loaded.encoder
    if dense is None or config.keep_weights or not config.can_refit_gates:
        return None
    batches, _ = calibration_examples(session)
    try:
        check_enough(batches, encoder)
        reference = Dense(dense, encoder, *split(batches))
    except PruneError as error:  # not worth losing what was trained
        log.info("no refit: %s", error.message)
        return None
    session.progress("refitting", 0, 1)
    return reconstruct(reference, model, kept)
