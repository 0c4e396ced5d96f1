"""What a run works with: model, data and arguments, made once from the options."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase, TrainingArguments

from prunecli import methods
from prunecli.checkpoints.folder import Checkpoint
from prunecli.config import TrainMasksConfig
from prunecli.config.shared import ONLY_TRAINS
from prunecli.errors import UnsupportedModelError
from prunecli.masks import MaskSet
from prunecli.methods.base import ScoreMethod
from prunecli.models.loading import Loaded, load_model, load_tokenizer, longest_input
from prunecli.models.shipped import readers_of
from prunecli.progress import Progress
from prunecli.tasks import Task, TaskData
from prunecli.tasks.features import Features
from prunecli.training.arguments import training_arguments
from prunecli.training.distillation import Teacher
from prunecli.training.trainer import MaskTrainer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """One run of `train-masks`.

    Attributes:
        config: What was asked.
        checkpoint: Where the model comes from.
        task: The task, its labels in the order of the model's head.
        loaded: The model; the run changes it in place.
        tokenizer: Its tokenizer.
        max_length: Tokens that examples are cut to.
        features: The task's rows as token ids.
        arguments: What the Trainer needs to know.
        progress: Called with a label, steps done and steps in all.
    """

    config: TrainMasksConfig
    checkpoint: Checkpoint
    task: Task
    loaded: Loaded
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    features: Features
    arguments: TrainingArguments
    progress: Progress

    def trainer(
        self, model: nn.Module, arguments: TrainingArguments | None = None, **more: Any
    ) -> MaskTrainer:
        """Return a trainer of a model on the task's data."""
        return MaskTrainer(
            model,
            arguments or self.arguments,
            train_dataset=self.features.train,
            eval_dataset=self.features.validation,
            compute_metrics=self.features.score,
            data_collator=self.features.collate,
            preprocess_logits_for_metrics=self.features.reduce,
            every_output=self.features.every_output,
            processing_class=self.tokenizer,
            **more,
        )

    def taught_by(self, model: nn.Module | None, stays: Sequence[bool] | None = None) -> Teacher | None:
        """Return a teacher on the task's data; `stays` says which layers the student still has."""
        if model is None:
            return None
        return Teacher(model, stays, self.config.replace_tokens, self.tokenizer.all_special_ids)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the task's metrics of a model on the validation rows."""
        self.progress("evaluating", 0, 1)
        # A copy: accelerate wraps what it evaluates, for good, and takes it for prepared.
        return self.metrics(self.trainer(copy.deepcopy(model)).evaluate())

    def metrics(self, logs: dict[str, float]) -> dict[str, float]:
        """Pick the task's metrics from what the Trainer logged."""
        return {name: logs[f"eval_{name}"] for name in self.task.metrics}


@dataclass(slots=True)
class Learned:
    """What a method found, and what it cost.

    Attributes:
        masks: What stays.
        masked: Metrics with these masks.
        unrecovered: The same before the training of the cut model; None without one, or where nobody looked.
        steps: Optimizer steps.
        history: What was logged, by step.
        refit: Mean divergence from the dense model on held-out examples before and after the refit.
        expected: Price of the gates before their projection to the budget, as a share of the dense price.
        seconds: Wall time until the masks stood.
        recovery_seconds: Wall time of the training of the cut model.
    """

    masks: MaskSet = field(default_factory=lambda: MaskSet({}))
    masked: dict[str, float] = field(default_factory=dict)
    unrecovered: dict[str, float] | None = None
    steps: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    refit: tuple[float, float] | None = None
    expected: float | None = None
    seconds: float = 0.0
    recovery_seconds: float = 0.0


def open_session(
    config: TrainMasksConfig, checkpoint: Checkpoint, data: TaskData, progress: Progress
) -> Session:
    """Load model and tokenizer, and tokenise the task's rows; say loudly which parameters are new."""
    task = data.task
    log.info("Loading %s", checkpoint.path)
    loaded = load_model(checkpoint, task.kind.head, **task.kind.config(task))
    if loaded.new:
        check_new_head(config, task)
        log.warning(
            "%s has no head for task %s: %s start at random and will be trained",
            config.model, task.name, ", ".join(loaded.new),
        )  # fmt: skip
    if "hidden" in config.groups:
        entries, name = loaded.model.config.to_dict(), type(loaded.model).__name__
        readers_of(entries, name, loaded.encoder)  # raises where there is none
    if loaded.encoder.sharing:
        log.info(loaded.encoder.sharing)
    tokenizer = load_tokenizer(checkpoint)
    positions = longest_input(loaded.model, loaded.encoder)
    max_length = row_length(config.max_length, task, positions, tokenizer)
    features = task.kind.features(data, tokenizer, max_length)
    arguments = training_arguments(config, len(features.train))
    nn.Module.to(loaded.model, arguments.device)  # gates are made where the model is
    return Session(config, checkpoint, task, loaded, tokenizer, max_length, features, arguments, progress)


def check_new_head(config: TrainMasksConfig, task: Task) -> None:
    """Refuse to choose units by what an untrained head predicts, or to leave one untrained.

    Raises:
        UnsupportedModelError: The options ask for that; it says how a head gets trained.
    """
    if config.sweep:
        raise UnsupportedModelError(
            f"{config.model} has no head for task {task.name}: there is nothing to compare several targets with",
            f"fine-tune it first; train-masks {ONLY_TRAINS} does nothing else",
        )
    method = methods.get(config.method_name)
    if isinstance(method, ScoreMethod) and (
        method.reads != "weights" or not config.recovery or config.max_drop is not None
    ):
        raise UnsupportedModelError(
            f"{config.model} has no head for task {task.name}: its predictions say nothing of its units",
            "take a checkpoint that was fine-tuned on the task, or a method that trains; "
            f"to fine-tune it here: {ONLY_TRAINS}",
        )


def row_length(asked: int | None, task: Task, positions: int, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the tokens that rows are cut to in training: what is asked for, or the task's usual length.

    Args:
        asked: `--max-length`; None where nothing was said.
        task: The task.
        positions: Tokens that the model has positions for.
        tokenizer: Its limit goes before what is asked, too.
    """
    allowed = min(positions, int(tokenizer.model_max_length))
    if asked is not None and asked > allowed:
        log.warning("--max-length %d is more than the %d tokens that the model takes", asked, allowed)
    return min(asked or task.kind.usual_length, allowed)
