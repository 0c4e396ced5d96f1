"""`evaluate`: a checkpoint and the rows to score it on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.config.shared import Trust
from prunecli.fields import Opt, VerbConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig(VerbConfig):
    """`prunecli evaluate CHECKPOINT TASK`."""

    verb: ClassVar[str] = "evaluate"

    checkpoint: Annotated[
        str, Opt("Checkpoint, pruned folder, run folder (with its masks), hub id, or demo.", positional=True)
    ]
    task: Annotated[
        str, Opt("A GLUE or SQuAD task, demo, or a data file or folder of your own.", positional=True)
    ]
    data_dir: Annotated[Path | None, Opt("Folder with the task's files, instead of the hub.")] = None
    split: Annotated[
        str | None,
        Opt(
            "Rows to score on: a split's name, or all of a single file. Default: the task's validation split; of a "
            "single file, the rows that train-masks holds out."
        ),
    ] = None
    seed: Annotated[int, Opt("Seed that a single file's rows were held out by.", minimum=0)] = 0
    text_columns: Annotated[
        str | None, Opt("Columns with the text (or words, or choices), as A or A,B, for data of your own.")
    ] = None
    label_column: Annotated[str | None, Opt("Column with the label, for data of your own.")] = None
    task_kind: Annotated[
        str | None, Opt("What data of your own are for, where the columns do not say it: masked-lm ...")
    ] = None
    max_length: Annotated[
        int | None,
        Opt(
            "Tokens a row is cut to. Default: what it was trained with here, else 128, for SQuAD 384.",
            minimum=8,
        ),
    ] = None
    batch_size: Annotated[int, Opt("Rows a batch.", minimum=1)] = 64
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Where to compute.")] = "auto"
    trust_remote_code: Trust = False
