"""`compare`: methods, targets and seeds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from prunecli.config.contradictions import KNOWN_METHODS
from prunecli.config.shared import (
    BatchSize,
    CalibrationRows,
    DataDir,
    Device,
    LabelColumn,
    MaxLength,
    Overwrite,
    RecoveryLr,
    TaskKind,
    TaskName,
    TextColumns,
    run_name,
)
from prunecli.config.train_masks import TrainMasksConfig, read_shares
from prunecli.errors import InputError
from prunecli.fields import BUDGET, OUTPUT, Opt, VerbConfig

ALL, UNTRAINED = "all", "untrained"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig(VerbConfig):
    """`prunecli compare MODEL TASK`."""

    verb: ClassVar[str] = "compare"

    model: Annotated[str, Opt("Fine-tuned checkpoint folder, hub id, or demo.", positional=True)]
    task: TaskName
    data_dir: DataDir = None
    text_columns: TextColumns = None
    label_column: LabelColumn = None
    task_kind: TaskKind = None
    max_length: MaxLength = None
    methods: Annotated[
        str,
        Opt("Methods, as A,B; untrained stands for all without training, all for every one.", BUDGET),
    ] = UNTRAINED
    targets: Annotated[str, Opt("Shares of the encoder's FLOPs to keep, as A,B.", BUDGET)] = (
        "0.9,0.7,0.5,0.4,0.3,0.2,0.1"
    )
    seeds: Annotated[
        int,
        Opt("Number of seeds, for calibration rows and training; results are means.", BUDGET, minimum=1),
    ] = 1
    calibration_rows: CalibrationRows = 1024
    num_epochs: Annotated[
        int, Opt("Passes over the training data, for methods that train.", BUDGET, minimum=1)
    ] = 5
    recovery_epochs: Annotated[
        int, Opt("Epochs of training after the cut, of every model.", BUDGET, minimum=0)
    ] = 0
    recovery_lr: RecoveryLr = 5e-5
    keep_weights: Annotated[bool, Opt("Do not refit output projections.", BUDGET)] = False
    round_to: Annotated[int, Opt("Keep each layer's width a multiple of N.", BUDGET, minimum=1)] = 1
    batch_size: BatchSize = 32
    device: Device = "auto"
    out: Annotated[
        Path | None,
        Opt(
            "Folder for the page. Default: runs/MODEL-TASK-compare, or runs/MODEL-compare if its last word is TASK.",
            OUTPUT,
        ),
    ] = None
    overwrite: Overwrite = False

    def __post_init__(self) -> None:
        """Check the fields, and that targets can be compared.

        Raises:
            InputError: It names the option.
        """
        VerbConfig.__post_init__(self)  # super() does not know the class that slots=True makes
        read_shares(self.targets, "--targets")

    def check_asked(self) -> None:
        """Refuse options of training where nothing trains.

        Raises:
            InputError: It names the option.
        """
        untrained = {UNTRAINED, *(name for name, facts in KNOWN_METHODS.items() if not facts.trains)}
        changed = {field.name for field in self.changed}
        if "num_epochs" in changed and untrained.issuperset(self.method_names):
            raise InputError(
                "--num-epochs has no effect: none of --methods trains gates",
                "--recovery-epochs trains the models that they cut",
            )
        if "recovery_lr" in changed and not self.recovery_epochs:
            raise InputError("--recovery-lr has no effect: there is no recovery", "add --recovery-epochs N")

    @property
    def method_names(self) -> tuple[str, ...]:
        """Return the names as they were given; `all` and `untrained` stand for several."""
        return tuple(name.strip() for name in self.methods.split(","))

    @property
    def out_folder(self) -> Path:
        """Return the folder of the page."""
        return self.out or Path("runs") / f"{run_name(self.model, self.task)}-compare"

    def training(self) -> TrainMasksConfig:
        """Return the same model, data and budget in the words of train-masks."""
        shared = ("model", "task", "data_dir", "text_columns", "label_column", "task_kind", "max_length")
        budget = (
            "calibration_rows",
            "keep_weights",
            "round_to",
            "num_epochs",
            "recovery_epochs",
            "recovery_lr",
        )
        more = (*budget, "batch_size", "device")
        words: dict[str, Any] = {name: getattr(self, name) for name in (*shared, *more)}
        return TrainMasksConfig(**words, sweep=self.targets, out=self.out_folder, overwrite=self.overwrite)
