"""`compare`: methods, targets and seeds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from prunecli.config.contradictions import KNOWN_METHODS, check_without_training
from prunecli.config.shared import (
    BatchSize,
    CalibrationRows,
    DataDir,
    Device,
    LabelColumn,
    MaxLength,
    Overwrite,
    TaskKind,
    TaskName,
    TextColumns,
    run_name,
)
from prunecli.config.train_masks import TrainMasksConfig, read_shares
from prunecli.fields import BUDGET, OUTPUT, Opt, VerbConfig


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
    methods: Annotated[str, Opt("Methods without training, as A,B; all is every one there is.", BUDGET)] = (
        "all"
    )
    targets: Annotated[str, Opt("Shares of the encoder's FLOPs to keep, as A,B.", BUDGET)] = (
        "0.9,0.7,0.5,0.4,0.3,0.2,0.1"
    )
    seeds: Annotated[
        int, Opt("Draws of calibration rows; results are means over them.", BUDGET, minimum=1)
    ] = 1
    calibration_rows: CalibrationRows = 1024
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
        """Check the fields, and that methods and targets can be compared.

        Raises:
            InputError: It names the option.
        """
        VerbConfig.__post_init__(self)  # super() does not know the class that slots=True makes
        read_shares(self.targets, "--targets")
        scored = [name for name, facts in KNOWN_METHODS.items() if not facts.trains]
        check_without_training([name for name in self.method_names if name in KNOWN_METHODS], scored)

    @property
    def method_names(self) -> tuple[str, ...]:
        """Return the methods that are named, or `all` alone."""
        names = tuple(name.strip() for name in self.methods.split(","))
        return ("all",) if "all" in names else names

    @property
    def out_folder(self) -> Path:
        """Return the folder of the page."""
        return self.out or Path("runs") / f"{run_name(self.model, self.task)}-compare"

    def training(self) -> TrainMasksConfig:
        """Return the same model, data and budget in the words of train-masks."""
        shared = ("model", "task", "data_dir", "text_columns", "label_column", "task_kind", "max_length")
        more = ("calibration_rows", "keep_weights", "round_to", "batch_size", "device")
        words = {name: getattr(self, name) for name in (*shared, *more)}
        asked = {"sweep": self.targets, "out": self.out_folder}
        return TrainMasksConfig.of({**words, **asked, "overwrite": self.overwrite})
