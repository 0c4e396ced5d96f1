"""`compare`: methods, targets and seeds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from prunecli.config.shared import (
    BatchSize,
    CalibrationRows,
    DataDir,
    Device,
    LabelColumn,
    MaxLength,
    Overwrite,
    RecoveryEpochs,
    RecoveryLr,
    TaskKind,
    TaskName,
    TextColumns,
    run_name,
)
from prunecli.config.train_masks import TrainMasksConfig, read_shares
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
        Opt("Methods, as A,B; untrained is every one without training, all is every one there is.", BUDGET),
    ] = UNTRAINED
    targets: Annotated[str, Opt("Shares of the encoder's FLOPs to keep, as A,B.", BUDGET)] = (
        "0.9,0.7,0.5,0.4,0.3,0.2,0.1"
    )
    seeds: Annotated[
        int,
        Opt("Seeds, of calibration rows and of training; results are means over them.", BUDGET, minimum=1),
    ] = 1
    calibration_rows: CalibrationRows = 1024
    num_epochs: Annotated[
        int, Opt("Passes over the training data, of methods that train.", BUDGET, minimum=1)
    ] = 5
    recovery_epochs: RecoveryEpochs = 0
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
        words = {name: getattr(self, name) for name in (*shared, *more)}
        asked = {"sweep": self.targets, "out": self.out_folder}
        return TrainMasksConfig.of({**words, **asked, "overwrite": self.overwrite})
