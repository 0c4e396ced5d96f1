"""`evaluate`: a checkpoint and the rows to score it on."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from prunecli.config.shared import DataDir, LabelColumn, MaxLength, TaskKind, TaskName, TextColumns, Trust
from prunecli.fields import Opt, VerbConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig(VerbConfig):
    """`prunecli evaluate CHECKPOINT TASK`."""

    verb: ClassVar[str] = "evaluate"

    checkpoint: Annotated[
        str, Opt("Checkpoint, pruned folder, run folder (with its masks), hub id, or demo.", positional=True)
    ]
    task: TaskName
    data_dir: DataDir = None
    split: Annotated[
        str | None,
        Opt(
            "Rows to score on: a split's name, or all of a single file. Default: the task's validation split; of a "
            "single file, the rows that train-masks holds out."
        ),
    ] = None
    seed: Annotated[
        int | None,
        Opt(
            "Seed with which rows of a single file were held out. Default: that of the run; else 0.",
            minimum=0,
        ),
    ] = None
    text_columns: TextColumns = None
    label_column: LabelColumn = None
    task_kind: TaskKind = None
    max_length: MaxLength = None
    batch_size: Annotated[int, Opt("Rows per batch.", minimum=1)] = 64
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Device to run on.")] = "auto"
    trust_remote_code: Trust = False
