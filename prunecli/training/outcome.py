"""What a run would do, and what it found: the records that the command line, `run.json` and the pages show."""

from dataclasses import dataclass
from pathlib import Path

from prunecli.config import TrainMasksConfig
from prunecli.masks import MaskSet
from prunecli.masks.budget import encoder_flops, layer_parameters
from prunecli.models.loading import Loaded
from prunecli.tasks import Task
from prunecli.tasks.features import Features
from prunecli.training.gates import NAME
from prunecli.training.trainer import MaskTrainer


@dataclass(frozen=True, slots=True)
class TrainMasksPlan:
    """What a run would do.

    Attributes:
        out: The run folder.
        model: The checkpoint folder.
        task: The task.
        kind: How it is trained and scored: classification, token-classification ...
        data: Where its rows come from.
        rows: Training and validation rows.
        new_head: Whether the checkpoint lacks the task's head.
        units: Units a layer of each group to learn.
        layers: Layers with weights of their own.
        steps: Optimizer steps.
        flops: Encoder FLOPs of one example at the longest length, with all units.
    """

    out: Path
    model: Path
    task: str
    kind: str
    data: str
    rows: tuple[int, int]
    new_head: bool
    units: dict[str, int]
    layers: int
    steps: int
    flops: int


@dataclass(frozen=True, slots=True)
class TrainMasksResult:
    """What a run found.

    Attributes:
        out: The run folder.
        model: The checkpoint that was started from.
        task: The task.
        metric: The headline metric; `dense` and `masked` have all of them.
        dense: Metrics before training, with all units; None where the head was new.
        masked: Metrics after training, with the hard masks.
        new_parameters: Parameters that the checkpoint lacked and that were trained from scratch.
        density: Kept share of each learned group.
        kept: Kept units of each learned group, by layer.
        units: Units a layer of each learned group.
        tokens: Length at which FLOPs are counted: the mean of the training data.
        flops: Encoder FLOPs of one example, dense and kept.
        parameters: Parameters of the whole model, dense and kept.
        steps: Optimizer steps.
        seconds: Wall time of the training.
        history: What was logged: losses, metrics, density, temperature, by step.
    """

    out: Path
    model: str
    task: str
    metric: str
    dense: dict[str, float] | None
    masked: dict[str, float]
    new_parameters: tuple[str, ...]
    density: dict[str, float]
    kept: dict[str, list[int]]
    units: dict[str, int]
    tokens: int
    flops: tuple[int, int]
    parameters: tuple[int, int]
    steps: int
    seconds: float
    history: list[dict[str, float]]


def outcome(
    config: TrainMasksConfig,
    task: Task,
    features: Features,
    loaded: Loaded,
    masks: MaskSet,
    dense: dict[str, float] | None,
    trainer: MaskTrainer,
    seconds: float,
) -> TrainMasksResult:
    """Gather what a finished training found."""
    encoder, tokens = loaded.encoder, features.mean_length
    named = loaded.model.named_parameters()
    everything = sum(parameter.numel() for name, parameter in named if not name.startswith(NAME))
    saved = layer_parameters(encoder, MaskSet({})) - layer_parameters(encoder, masks)
    return TrainMasksResult(
        out=config.out_folder,
        model=config.model,
        task=task.name,
        metric=task.metrics[0],
        dense=dense,
        masked=_last_metrics(trainer, task),
        new_parameters=loaded.new,
        density={group: masks.density(group) for group in masks.masks},
        kept={group: [int(row.sum()) for row in mask != 0] for group, mask in masks.masks.items()},
        units={group: mask.shape[1] for group, mask in masks.masks.items()},
        tokens=tokens,
        flops=(encoder_flops(encoder, MaskSet({}), tokens), encoder_flops(encoder, masks, tokens)),
        parameters=(everything, everything - saved),
        steps=trainer.state.global_step,
        seconds=seconds,
        history=[entry for entry in trainer.state.log_history if "loss" in entry or "eval_loss" in entry],
    )


def metrics_of(logs: dict[str, float], task: Task) -> dict[str, float]:
    """Pick the task's metrics from what the Trainer logged."""
    return {name: logs[f"eval_{name}"] for name in task.metrics}


def _last_metrics(trainer: MaskTrainer, task: Task) -> dict[str, float]:
    """Return the metrics with the final masks: the last epoch's evaluation, where it was the last step."""
    last = [entry for entry in trainer.state.log_history if "eval_loss" in entry][-1:]
    fresh = bool(last) and last[0]["step"] == trainer.state.global_step
    return metrics_of(last[0] if fresh else trainer.evaluate(), task)
