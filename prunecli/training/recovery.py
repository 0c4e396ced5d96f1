"""Training of the model as it will be shipped: already cut, so every step costs what the small model costs."""

import logging
import time
from collections.abc import Mapping

from torch import nn

from prunecli.training.arguments import changed
from prunecli.training.callbacks import ReportProgress
from prunecli.training.gates import weights_only
from prunecli.training.live_cut import cut_live, put_back
from prunecli.training.session import Learned, Session

log = logging.getLogger(__name__)

NOISE = 0.005  # of a metric: what some hundred validation rows cannot tell


def recover(session: Session, learned: Learned, dense: nn.Module, teacher: nn.Module | None) -> Learned:
    """Train the cut model for some epochs, and write its weights back into the session's model.

    Args:
        session: Model and data; the model has gates that stand at the masks.
        learned: What was found so far.
        dense: A model of the dense shape without gates; it is used up.
        teacher: What to learn from besides the labels.
    """
    config, encoder, small = session.config, session.loaded.encoder, dense
    small.load_state_dict(weights_only(session.loaded.model.state_dict()))
    cut_live(small, encoder, learned.masks)
    stays = [learned.masks.has_layer(layer) for layer in range(encoder.layers)]
    arguments = changed(
        session.arguments,
        num_train_epochs=config.recovery,
        max_steps=-1,
        learning_rate=config.recovery_lr,
        save_strategy="no",
    )
    trainer = session.trainer(
        small,
        arguments,
        teacher=session.taught_by(teacher, stays),
        callbacks=[ReportProgress(session.progress, session.task.metrics[0])],
    )
    started = time.perf_counter()
    trainer.train()
    learned.recovery_seconds = time.perf_counter() - started
    logged = [entry for entry in trainer.state.log_history if "loss" in entry or "eval_loss" in entry]
    learned.history += [{**entry, "step": entry["step"] + learned.steps} for entry in logged]
    learned.steps += trainer.state.global_step
    before, learned.masked = learned.masked, session.metrics(logged[-1])
    if before and not session.loaded.new:  # a head that nobody had trained says nothing
        learned.unrecovered = before
        _warn_of_loss(session, before, learned.masked)
    put_back(session.loaded.model, small, encoder, learned.masks)
    return learned


def _warn_of_loss(session: Session, before: Mapping[str, float], after: Mapping[str, float]) -> None:
    """Say so where training has made the cut model worse: it happens on rows that the dense model knows by heart."""
    metric, config = session.task.metrics[0], session.config
    if after[metric] < before[metric] - NOISE:
        log.warning(
            "recovery lowered %s from %.4f to %.4f (%s, %s): take new rows, --replace-tokens 0.3, a lower rate or none",
            metric, before[metric], after[metric], config.method_name, config.target_option,
        )  # fmt: skip
