"""`train-masks`: what can be asked of a run."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.config import contradictions
from prunecli.config.shared import (
    EVERY_GROUP,
    GROUPS,
    PRICED_GROUPS,
    USUAL_RECOVERY,
    BatchSize,
    CalibrationRows,
    DataDir,
    Device,
    DryRun,
    Group,
    LabelColumn,
    MaxLength,
    Overwrite,
    RecoveryEpochs,
    RecoveryLr,
    Seed,
    TaskKind,
    TaskName,
    TextColumns,
    run_name,
)
from prunecli.errors import InputError
from prunecli.fields import BUDGET, MASKS, OUTPUT, TRAINING, Opt, VerbConfig


def read_shares(text: str, option: str) -> list[float]:
    """Read shares of a dense price as `0.5,0.3`, and return them falling.

    Raises:
        InputError: One of them is no number between 0.01 and 1.
    """
    shares = dict[str, float]()  # by how they are written: each names a folder
    for word in text.split(","):
        try:
            share = float(word)
        except ValueError:
            share = math.nan
        if not 0.01 <= share <= 1:
            raise InputError(
                f"{option} {text!r}: {word!r} is no share between 0.01 and 1", f"write {option} 0.5,0.3"
            )
        shares.setdefault(f"{share:g}", share)
    return sorted(shares.values(), reverse=True)


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
            "Units that may be pruned; repeat it for several groups. all: head and the three of ffn. Default: "
            "ffn_int; head and ffn_int "
            "under a target.",
            MASKS,
        ),
    ] = ()
    method: Annotated[
        str | None,
        Opt(
            "How units are chosen. gumbel-sigmoid and hard-concrete train gates; one-shot, fisher, taylor, magnitude "
            "and random need a target and no training. Default: gumbel-sigmoid; under a target hard-concrete, with "
            "--sweep and --max-drop one-shot.",
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
        Opt("Speed-up to reach, as 2 or 3, measured on this device.", BUDGET, minimum=1),
    ] = None
    speedup_at: Annotated[
        str, Opt("Batch size and tokens at which --target-speedup is measured, as 1x128; one thread.", BUDGET)
    ] = "1x128"
    sweep: Annotated[
        str | None,
        Opt("Shares of the encoder's FLOPs to keep, as A,B: a run folder for each.", BUDGET),
    ] = None
    max_drop: Annotated[
        float | None,
        Opt(
            "Find the smallest model that loses at most this much of the main metric: the FLOPs go down by tenths "
            "until two in a row lose more. 0.01 is a point of accuracy.",
            BUDGET,
            minimum=0,
            maximum=0.5,
        ),
    ] = None
    strict: Annotated[
        bool,
        Opt(
            "Exit with 1 if the cut model is measured to be more than 5 % slower than --target-speedup asks.",
            BUDGET,
        ),
    ] = False
    round_to: Annotated[
        int | None,
        Opt(
            "Keep each layer's width a multiple of N, or nothing of it. Default: 1; under --target-speedup 32 for "
            "neurons, on CUDA 64.",
            BUDGET,
            minimum=1,
        ),
    ] = None
    calibration_rows: CalibrationRows = 1024
    keep_weights: Annotated[
        bool, Opt("Do not refit output projections after units were chosen under a target.", BUDGET)
    ] = False
    recovery_epochs: RecoveryEpochs = None
    recovery_lr: RecoveryLr = 5e-5
    distill: Annotated[
        Literal["auto", "always", "never"],
        Opt(
            "Distil from the dense model. auto: under a target or in recovery, if it has the task's head.",
            BUDGET,
        ),
    ] = "auto"
    teacher: Annotated[
        str | None,
        Opt("Checkpoint to distil from instead of the dense model; same labels and tokenizer.", BUDGET),
    ] = None
    replace_tokens: Annotated[
        float,
        Opt(
            "Distil on varied texts, too: share of tokens to replace in half of the rows; labels are then unused.",
            BUDGET,
            minimum=0,
            maximum=1,
        ),
    ] = 0.0
    mask_init: Annotated[
        Literal["randn", "open"], Opt("Initial gate logits: random, or all gates open.", MASKS)
    ] = "randn"
    gumbel_temp_start: Annotated[
        float, Opt("Temperature at the start (soft gates).", MASKS, minimum=1e-3)
    ] = 5.0
    gumbel_temp_end: Annotated[
        float, Opt("Temperature at the end (nearly binary gates).", MASKS, minimum=1e-3)
    ] = 0.1
    gumbel_temp_anneal: Annotated[
        Literal["linear", "exponential", "constant"],
        Opt("Temperature schedule.", MASKS),
    ] = "linear"
    sparsity_loss: Annotated[
        float, Opt("Weight of the mean gate in the loss: higher removes more.", MASKS, minimum=0)
    ] = 0.1
    quantization_loss: Annotated[
        float, Opt("Weight of the gates' entropy: higher makes them binary sooner.", MASKS, minimum=0)
    ] = 0.01
    frozen_epochs: Annotated[
        int, Opt("Final epochs, in which only the weights train and the masks are fixed.", MASKS, minimum=0)
    ] = 0

    num_epochs: Annotated[int, Opt("Passes over the training data.", TRAINING, minimum=1)] = 5
    max_steps: Annotated[
        int | None, Opt("Stop after N steps, whatever --num-epochs says.", TRAINING, minimum=1)
    ] = None
    batch_size: BatchSize = 32
    gradient_accumulation: Annotated[int, Opt("Batches per optimizer step.", TRAINING, minimum=1)] = 1
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
        Path | None,
        Opt(
            "Run folder. Default: runs/MODEL-TASK, or runs/MODEL if its last word is TASK; --sweep adds -sweep.",
            OUTPUT,
        ),
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
        contradictions.check(self)

    def check_asked(self) -> None:
        """Refuse options that nothing would read.

        Raises:
            InputError: It names the option.
        """
        if not self.resume:  # what a run was begun with, it goes on with: whoever finds none, asks then
            contradictions.check_read(self)

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the groups to learn, `all` written out, in a fixed order."""
        usual = PRICED_GROUPS if self.under_target else ("ffn_int",)
        asked = self.learn_masks or usual
        return tuple(name for name in EVERY_GROUP if name in asked or (name in GROUPS and "all" in asked))

    @property
    def under_target(self) -> bool:
        """Say whether a budget was asked for."""
        return (
            any((self.target_flops, self.target_params, self.target_speedup, self.sweep))
            or self.max_drop is not None
        )

    @property
    def keeps_everything(self) -> bool:
        """Say whether the budget pays for every unit: nothing is scored or refitted then."""
        return 1.0 in (self.target_flops, self.target_params)

    @property
    def recovery(self) -> int:
        """Return the epochs of recovery, or the usual number: weights that trained under gates need some."""
        if self.recovery_epochs is not None:
            return self.recovery_epochs
        if self.max_steps is not None:  # whoever counts steps means all of them
            return 0
        facts = contradictions.KNOWN_METHODS.get(self.method_name)
        return USUAL_RECOVERY if facts and facts.trains and self.under_target and not self.freeze else 0

    @property
    def can_refit_gates(self) -> bool:
        """Say whether what trained gates leave can be refitted: to a dense model that teaches, of the same width."""
        taught_by_itself = self.distill != "never" and self.teacher is None
        return self.under_target and taught_by_itself and not self.freeze and "hidden" not in self.groups

    @property
    def target_option(self) -> str | None:
        """Return the option that says how much shall stay, as it was given; None without one."""
        for name in contradictions.TARGETS:
            if (value := getattr(self, name)) is not None:
                return f"--{name.replace('_', '-')} {value}"
        return None

    @property
    def method_name(self) -> str:
        """Return the method, or the usual one."""
        without = self.sweep or self.max_drop is not None
        usual = "one-shot" if without else "hard-concrete" if self.under_target else "gumbel-sigmoid"
        return self.method or usual

    @property
    def speedup_shape(self) -> tuple[int, int]:
        """Return batch size and tokens of --speedup-at."""
        batch_size, _, tokens = self.speedup_at.partition("x")
        if not (batch_size.isdecimal() and tokens.isdecimal() and int(batch_size) and int(tokens)):
            raise InputError(
                f"--speedup-at {self.speedup_at!r} is no batch size and tokens", "write 8x128, for example"
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
    def out_folder(self) -> Path:
        """Return the run folder."""
        several = "-sweep" if self.sweep else ""
        return self.out or Path("runs") / (run_name(self.model, self.task) + several)
