"""Training of the model as it will be shipped: already cut, so every step costs what the small model costs."""

import dataclasses
import time

from torch import nn

from prunecli.training.callbacks import ReportProgress
from prunecli.training.distillation import Teacher
from prunecli.training.gates import weights_only
from prunecli.training.live_cut import cut_live, put_back
from prunecli.training.session import Learned, Session


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
    arguments = dataclasses.replace(
        session.arguments,
        num_train_epochs=config.recovery_epochs,
        max_steps=-1,
        learning_rate=config.recovery_lr,
        save_strategy="no",
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # as for the training of gates: no DataParallel
    trainer = session.trainer(
        small,
        arguments,
        teacher=None if teacher is None else Teacher(teacher, stays),
        callbacks=[ReportProgress(session.progress, session.task.metrics[0])],
    )
    started = time.perf_counter()
    trainer.train()
    learned.recovery_seconds = time.perf_counter() - started
    logged = [entry for entry in trainer.state.log_history if "loss" in entry or "eval_loss" in entry]
    learned.history += [{**entry, "step": entry["step"] + learned.steps} for entry in logged]
    learned.steps += trainer.state.global_step
    learned.masked = session.metrics(logged[-1])
    put_back(session.loaded.model, small, encoder, learned.masks)
    return learned
