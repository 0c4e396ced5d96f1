"""What a run would do, and what it found: the records that the command line, `run.json` and the pages show."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

from prunecli.checkpoints.run_folder import read_result
from prunecli.config import TrainMasksConfig
from prunecli.errors import InputError
from prunecli.masks import MaskSet
from prunecli.masks.budget import encoder_flops
from prunecli.models.loading import Loaded
from prunecli.training.live_cut import parameters_left
from prunecli.training.session import Learned, Session
from prunecli.training.target import Target

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainMasksPlan:
    """What a run would do.

    Attributes:
        out: The run folder.
        stands: Whether a run stands there, whole or begun, and no option says what to do with it.
        model: The checkpoint folder.
        task: The task.
        kind: How it is trained and scored: classification, token-classification ...
        method: How units are chosen.
        target: The option that says how much shall stay, as it was given; None without one.
        data: Where its rows come from.
        rows: Training and validation rows.
        examples: What these become: as many, or more where long texts are read in windows.
        new_head: Whether the checkpoint lacks the task's head.
        units: Units a layer of each group to learn.
        layers: Layers with weights of their own.
        steps: Optimizer steps.
        tokens: The longest length that an example is cut to.
        flops: Encoder FLOPs of one example of that length, with all units.
    """

    out: Path
    stands: bool
    model: Path
    task: str
    kind: str
    method: str
    target: str | None
    data: str
    rows: tuple[int, int]
    examples: tuple[int, int]
    new_head: bool
    units: dict[str, int]
    layers: int
    steps: int
    tokens: int
    flops: int


@dataclass(frozen=True, slots=True)
class Reached:
    """A budget: shares of the dense price.

    Attributes:
        unit: What is counted: `flops`, `params` or `ms`.
        asked: The target.
        expected: What the trained gates cost on average before they were decided; None where none were trained.
        reached: What the kept units cost: never more than was asked, but where a timing corrected the table.
        measured: What the cut model took when it was timed beside the dense one; None for a budget that is counted.
    """

    unit: str
    asked: float
    expected: float | None
    reached: float
    measured: float | None = None

    @property
    def missed(self) -> bool:
        """Say whether the cut model is over 5 % slower than was asked."""
        return self.measured is not None and self.measured > self.asked * 1.05


@dataclass(frozen=True, slots=True)
class TrainMasksResult:
    """What a run found.

    Attributes:
        out: The run folder.
        model: The checkpoint that was started from.
        task: The task.
        method: How units were chosen.
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
        target: The budget, if one was asked for.
        refit: Mean divergence from the dense model on held-out examples before and after output projections were
            refitted; None where they were not.
        steps: Optimizer steps.
        seconds: Wall time until the masks stood.
        recovery_seconds: Wall time of the training of the cut model.
        history: What was logged: losses, metrics, density, temperature, by step.
        unrecovered: Metrics before the training of the cut model; None without one.
    """

    out: Path
    model: str
    task: str
    method: str
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
    target: Reached | None
    refit: tuple[float, float] | None
    steps: int
    seconds: float
    recovery_seconds: float
    history: list[dict[str, float]]
    unrecovered: dict[str, float] | None = None


def finished(folder: Path) -> TrainMasksResult:
    """Read what a finished run found."""
    stored = read_result(folder)
    target = Reached(**stored["target"]) if stored.get("target") else None
    return TrainMasksResult(**{**stored, "out": folder, "target": target})


def check_outcome(config: TrainMasksConfig, loaded: Loaded, masks: MaskSet) -> None:
    """Refuse to write weights that diverged or masks that remove everything; warn of masks that remove nothing."""
    for name, parameter in loaded.model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise InputError(f"training diverged: {name} holds NaN or infinite values", "lower --lr")
    masks.check(loaded.encoder, config.model)
    if not config.under_target and all((mask != 0).all() for mask in masks.masks.values()):
        log.warning("no unit was removed: train longer, or raise --sparsity-loss or --masks-lr")


def _warn_of_guessing(session: Session, learned: Learned) -> None:
    task = session.task
    if task.kind.name != "classification" or task.metrics[0] != "accuracy":
        return
    labels = Counter(session.features.validation["labels"])
    most = max(labels.values()) / labels.total()
    if learned.masked["accuracy"] <= most:
        log.warning(
            "the model guesses: accuracy %.4f, and the most frequent label alone gives %.4f; keep more, or train",
            learned.masked["accuracy"], most,
        )  # fmt: skip


def outcome(
    session: Session, learned: Learned, target: Target | None, dense: dict[str, float] | None
) -> TrainMasksResult:
    """Gather what a finished run found, and say so where that is a model that guesses."""
    _warn_of_guessing(session, learned)
    masks, encoder, tokens = learned.masks, session.loaded.encoder, session.features.mean_length
    model = session.loaded.model
    return TrainMasksResult(
        out=session.config.out_folder,
        model=session.config.model,
        task=session.task.name,
        method=session.config.method_name,
        metric=session.task.metrics[0],
        dense=dense,
        masked=learned.masked,
        new_parameters=session.loaded.new,
        density={group: masks.density(group) for group in masks.masks},
        kept=masks.counts,
        units={group: mask.shape[1] for group, mask in masks.masks.items()},
        tokens=tokens,
        flops=(encoder_flops(encoder, MaskSet({}), tokens), encoder_flops(encoder, masks, tokens)),
        parameters=(parameters_left(model, encoder, MaskSet({})), parameters_left(model, encoder, masks)),
        target=None if target is None else _reached(session, target, learned),
        refit=learned.refit,
        steps=learned.steps,
        seconds=learned.seconds,
        recovery_seconds=learned.recovery_seconds,
        history=learned.history,
        unrecovered=learned.unrecovered,
    )


def _reached(session: Session, target: Target, learned: Learned) -> Reached:
    widths = learned.masks.counts
    reached = target.prices.of(widths) / target.prices.dense
    measured = None if target.timed is None else target.timed(learned.masks)
    return Reached(target.prices.unit, target.share, learned.expected, reached, measured)
