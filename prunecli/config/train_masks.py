"""`train-masks`: what can be asked of a run."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.config.shared import (
    EVERY_GROUP,
    GROUPS,
    PRICED_GROUPS,
    BatchSize,
    DataDir,
    Device,
    DryRun,
    Group,
    LabelColumn,
    MaxLength,
    Overwrite,
    Seed,
    TaskKind,
    TaskName,
    TextColumns,
)
from prunecli.errors import InputError
from prunecli.fields import BUDGET, MASKS, OUTPUT, TRAINING, Opt, VerbConfig


def read_shares(text: str, option: str) -> list[float]:
    """Read shares of a dense price as `0.5,0.3`, and return them falling.

    Raises:
        InputError: One of them is no number between 0.01 and 1.
    """
    shares = []
    for word in text.split(","):
        try:
            share = float(word)
        except ValueError:
            share = math.nan
        if not 0.01 <= share <= 1:
            raise InputError(
                f"{option} {text!r}: {word!r} is no share between 0.01 and 1", f"write {option} 0.5,0.3"
            )
        shares.append(share)
    return sorted(set(shares), reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainMasksConfig(VerbConfig):
    """`prunecli train-masks MODEL TASK`."""

    verb: ClassVar[str] = "train-masks"

    model: Annotated[str, Opt("Checkpoint folder, hub id, or demo.", positional=True)]
    task: TaskName
    data_dir: DataDir = None
    text_columns: TextColumns = None
    label_column: LabelColumn = None
    task_kind: TaskKind = None
    max_length: MaxLength = None
    max_train_samples: Annotated[int | None, Opt("Train on the first N examples only.", minimum=1)] = None

    learn_masks: Annotated[
        tuple[Group, ...],
        Opt(
            "What may go; repeat it for several groups. all: the first four. Default: ffn_int; head and ffn_int "
            "under a target.",
            MASKS,
        ),
    ] = ()
    method: Annotated[
        str | None,
        Opt(
            "How units are chosen. gumbel-sigmoid and hard-concrete train gates; one-shot, fisher, taylor, magnitude "
            "and random need a target and no training. Default: gumbel-sigmoid; hard-concrete under a target.",
            MASKS,
        ),
    ] = None
    target_flops: Annotated[
        float | None,
        Opt(
            "Share of the encoder's FLOPs to keep, at the data's mean length.",
            BUDGET,
            minimum=0.01,
            maximum=1,
        ),
    ] = None
    target_params: Annotated[
        float | None,
        Opt("Share of the parameters of the encoder's layers to keep.", BUDGET, minimum=0.01, maximum=1),
    ] = None
    target_speedup: Annotated[
        float | None,
        Opt(
            "How many times as fast the model shall be, by times measured on this device.", BUDGET, minimum=1
        ),
    ] = None
    speedup_at: Annotated[
        str, Opt("Batch size and tokens that --target-speedup is about, as 1x128; one thread.", BUDGET)
    ] = "1x128"
    sweep: Annotated[
        str | None,
        Opt(
            "Shares of the encoder's FLOPs to keep, as A,B: a run folder for each, from one descent.", BUDGET
        ),
    ] = None
    round_to: Annotated[
        int, Opt("Keep each layer's width a multiple of N, or nothing of it.", BUDGET, minimum=1)
    ] = 1
    calibration_rows: Annotated[
        int | None,
        Opt(
            "Training rows that units are scored with. Default: 512; 2048 for targets up to 0.3.",
            BUDGET,
            minimum=8,
        ),
    ] = None
    keep_weights: Annotated[
        bool, Opt("Do not refit output projections after units were chosen by scores.", BUDGET)
    ] = False
    recovery_epochs: Annotated[
        int, Opt("Epochs that train the model already cut, at the end.", BUDGET, minimum=0)
    ] = 0
    recovery_lr: Annotated[float, Opt("Learning rate of these epochs.", BUDGET, minimum=0)] = 5e-5
    distill: Annotated[
        Literal["auto", "always", "never"],
        Opt(
            "Learn from the dense model, too. auto: under a target or in recovery, if it has the task's head.",
            BUDGET,
        ),
    ] = "auto"
    teacher: Annotated[
        str | None,
        Opt("Checkpoint to learn from instead of the dense model; same labels and tokenizer.", BUDGET),
    ] = None
    mask_init: Annotated[
        Literal["randn", "open"], Opt("Logits at the start: random, or all gates open.", MASKS)
    ] = "randn"
    gumbel_temp_start: Annotated[
        float, Opt("Temperature at the start (soft gates).", MASKS, minimum=1e-3)
    ] = 5.0
    gumbel_temp_end: Annotated[
        float, Opt("Temperature at the end (nearly binary gates).", MASKS, minimum=1e-3)
    ] = 0.1
    gumbel_temp_anneal: Annotated[
        Literal["linear", "exponential", "constant"],
        Opt("How the temperature goes from start to end.", MASKS),
    ] = "linear"
    sparsity_loss: Annotated[
        float, Opt("Weight of the mean gate: higher removes more.", MASKS, minimum=0)
    ] = 0.1
    quantization_loss: Annotated[
        float, Opt("Weight of the gates' entropy: higher decides sooner.", MASKS, minimum=0)
    ] = 0.01
    frozen_epochs: Annotated[
        int, Opt("Last epochs that train the weights under fixed masks.", MASKS, minimum=0)
    ] = 0

    num_epochs: Annotated[int, Opt("Passes over the training data.", TRAINING, minimum=1)] = 5
    max_steps: Annotated[int | None, Opt("Stop after N steps, whatever the epochs.", TRAINING, minimum=1)] = (
        None
    )
    batch_size: BatchSize = 32
    gradient_accumulation: Annotated[int, Opt("Batches a step.", TRAINING, minimum=1)] = 1
    lr: Annotated[float, Opt("Learning rate of the weights.", TRAINING, minimum=0)] = 5e-5
    masks_lr: Annotated[
        float | None,
        Opt("Learning rate of the gates. Default: 0.01; 0.05 under a target.", TRAINING, minimum=0),
    ] = None
    freeze: Annotated[bool, Opt("Train the gates only; the weights stay exactly as they were.", TRAINING)] = (
        False
    )
    seed: Seed = 0
    device: Device = "auto"
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], Opt("Mixed precision of the training step.", TRAINING)
    ] = "float32"

    out: Annotated[
        Path | None, Opt("Run folder. Default: runs/MODEL-TASK; with --sweep, runs/MODEL-TASK-sweep.", OUTPUT)
    ] = None
    overwrite: Overwrite = False
    resume: Annotated[bool, Opt("Go on from the last checkpoint of an interrupted run.", OUTPUT)] = False
    dry_run: DryRun = False
    report_to: Annotated[
        Literal["none", "tensorboard", "wandb", "trackio", "mlflow"], Opt("Experiment tracker.", OUTPUT)
    ] = "none"
    wandb: Annotated[bool, Opt("The same as --report-to wandb.", OUTPUT)] = False
    name: Annotated[str | None, Opt("Name of the run in the tracker.", OUTPUT)] = None
    log_loss_every: Annotated[int, Opt("Steps between logged losses.", OUTPUT, minimum=1)] = 5

    def __post_init__(self) -> None:
        """Check every field, and refuse options that contradict each other.

        Raises:
            InputError: It names the options.
        """
        VerbConfig.__post_init__(self)  # super() does not know the class that slots=True makes
        _check_epochs(self)
        _check_target(self)
        _check_sweep(self)
        if self.distill == "never" and self.teacher is not None:
            raise InputError("--teacher and --distill never exclude each other", "drop one of them")

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the groups to learn, `all` written out, in a fixed order."""
        usual = PRICED_GROUPS if self.under_target else ("ffn_int",)
        asked = self.learn_masks or usual
        return tuple(name for name in EVERY_GROUP if name in asked or (name in GROUPS and "all" in asked))

    @property
    def under_target(self) -> bool:
        """Say whether a budget was asked for."""
        return any((self.target_flops, self.target_params, self.target_speedup, self.sweep))

    @property
    def method_name(self) -> str:
        """Return the method, or the usual one."""
        usual = "one-shot" if self.sweep else "hard-concrete" if self.under_target else "gumbel-sigmoid"
        return self.method or usual

    @property
    def speedup_shape(self) -> tuple[int, int]:
        """Return batch size and tokens of --speedup-at."""
        batch_size, _, tokens = self.speedup_at.partition("x")
        if not (batch_size.isdecimal() and tokens.isdecimal() and int(batch_size) and int(tokens)):
            raise InputError(
                f"--speedup-at {self.speedup_at!r} is no batch size and tokens", "write 8x128, say"
            )
        return int(batch_size), int(tokens)

    @property
    def shares(self) -> list[float]:
        """Return the targets of a sweep, falling."""
        return read_shares(self.sweep or "", "--sweep")

    @property
    def gates_lr(self) -> float:
        """Return the learning rate of the gates, or the usual one."""
        return self.masks_lr if self.masks_lr is not None else 0.05 if self.under_target else 0.01

    @property
    def scored_rows(self) -> int:
        """Return how many rows units are scored with: small models need to be fitted with care."""
        asked = (self.target_flops, self.target_params, self.target_speedup and 1 / self.target_speedup)
        target = min(1.0, *(share for share in asked if share), *(self.shares if self.sweep else ()))
        return self.calibration_rows or (2048 if target <= 0.3 else 512)

    @property
    def out_folder(self) -> Path:
        """Return the run folder."""
        several = "-sweep" if self.sweep else ""
        return self.out or Path("runs") / f"{Path(self.model).name}-{Path(self.task).stem}{several}"


def _check_epochs(config: TrainMasksConfig) -> None:
    if config.freeze and config.frozen_epochs:
        raise InputError(
            "--frozen-epochs trains the weights under fixed masks, but --freeze trains none",
            "drop one of them",
        )
    if config.frozen_epochs >= config.num_epochs:
        raise InputError(
            f"--frozen-epochs {config.frozen_epochs} leaves none of --num-epochs {config.num_epochs} to learn masks in",
            "raise --num-epochs",
        )
    if config.under_target and config.frozen_epochs:
        raise InputError(
            "--frozen-epochs and a target exclude each other",
            "--recovery-epochs trains the model already cut, which costs less",
        )


def _check_target(config: TrainMasksConfig) -> None:
    targets = ("target_flops", "target_params", "target_speedup", "sweep")
    given = [f"--{name.replace('_', '-')}" for name in targets if getattr(config, name) is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other", "keep one of them")
    unpriced = [group for group in config.groups if group not in PRICED_GROUPS]
    if given and unpriced and config.groups != ("layer",):
        raise InputError(
            f"--learn-masks {unpriced[0]} cannot be learned under a target: what it costs depends on the others",
            f"learn {' and '.join(PRICED_GROUPS)}, or layer alone, or drop the target",
        )
    _ = config.speedup_shape  # raises for what is no shape


def _check_sweep(config: TrainMasksConfig) -> None:
    if config.sweep is None:
        return
    _ = config.shares  # raises for what is no share
    if config.recovery_epochs:
        raise InputError(
            "--sweep is for methods without training, and without --recovery-epochs",
            "train each target of its own with --target-flops",
        )
    if config.resume:
        raise InputError("--sweep cannot --resume: it takes a minute", "start over with --overwrite")
