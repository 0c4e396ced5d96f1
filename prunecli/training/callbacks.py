"""What happens at each step besides the loss: temperature, freezing of masks, progress."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from prunecli.progress import Progress
from prunecli.training.gates import Gates


def annealed(kind: str, start: float, end: float, share: float) -> float:
    """Return the temperature after a share of the steps, in [0, 1].

    linear: T0 + (T1 - T0) s; exponential: T0 (T1 / T0)^s; constant: T0.
    """
    if kind == "linear":
        return start + (end - start) * share
    if kind == "exponential":
        return start * float((end / start) ** share)
    return start


class GateSchedule(TrainerCallback):
    """Anneals temperature and budget by global step, and freezes the masks for the last epochs.

    Args:
        gates: The gates.
        kind: How the temperature falls.
        start: First temperature.
        end: Last temperature, reached when the masks freeze or the training ends.
        frozen_epochs: Epochs at the end in which the decisions stand.
    """

    def __init__(self, gates: Gates, kind: str, start: float, end: float, frozen_epochs: int) -> None:
        self.gates, self.kind, self.start, self.end, self.frozen_epochs = (
            gates,
            kind,
            start,
            end,
            frozen_epochs,
        )

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set temperature and freezing from the step alone, so that a resumed run continues exactly."""
        epochs = max(args.num_train_epochs, 1)  # what was asked; the state's follows from max_steps
        learning = max(round(state.max_steps * (1 - self.frozen_epochs / epochs)), 0)
        self.gates.frozen = state.global_step >= learning
        if self.gates.lagrangian is not None:
            self.gates.lagrangian.progress = state.global_step / max(state.max_steps, 1)
        self.gates.temperature = annealed(
            self.kind, self.start, self.end, min(state.global_step / max(learning, 1), 1.0)
        )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let the budget see what the step made of the gates."""
        if self.gates.lagrangian is not None and not self.gates.frozen:
            self.gates.lagrangian.step(self.gates.chances())


class ReportProgress(TrainerCallback):
    """Tells a progress function how far the training is, with the last loss and metric."""

    def __init__(self, progress: Progress, metric: str) -> None:
        self.progress, self.metric = progress, metric
        self.said: dict[str, float] = {}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the step."""
        said = "".join(f", {name} {value:.4f}" for name, value in self.said.items())
        self.progress(f"training{said}", state.global_step, state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep what the next step shows."""
        shown = {"loss": "loss", "density": "density", f"eval_{self.metric}": self.metric}
        self.said |= {name: logs[key] for key, name in shown.items() if logs and key in logs}


class ReportScoring(TrainerCallback):
    """Tells a progress function how many batches were scored."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.done = progress, 0

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the batch."""
        self.done += 1
        self.progress("scoring", self.done, len(kwargs["eval_dataloader"]))
