"""Options that several verbs have."""

from pathlib import Path
from typing import Annotated, Literal

from prunecli.errors import InputError
from prunecli.fields import BUDGET, DANGEROUS, MASKS, OUTPUT, TRAINING, Opt

ONLY_TRAINS = "--method magnitude --target-flops 1 --recovery-epochs 8"  # train-masks that removes nothing
TaskName = Annotated[
    str, Opt("A GLUE or SQuAD task, demo, or a data file or folder of your own.", positional=True)
]
DataDir = Annotated[
    Path | None, Opt("Folder with the task's train and validation files, instead of the hub.")
]
TextColumns = Annotated[
    str | None, Opt("Columns with the text (or words, or choices), as A or A,B, for data of your own.")
]
LabelColumn = Annotated[str | None, Opt("Column with the label, for data of your own.")]
TaskKind = Annotated[
    str | None, Opt("What data of your own are for, where the columns do not say it: masked-lm ...")
]
MaxLength = Annotated[
    int | None,
    Opt(
        "Tokens an example is cut to. Default: what a run was trained with, else 128, for SQuAD and "
        "documents 384, or what the model takes.",
        minimum=8,
    ),
]

Overwrite = Annotated[
    bool, Opt("Replace the output folder if it exists; it is swapped in when all is done.", OUTPUT)
]
DryRun = Annotated[bool, Opt("Print the plan and write nothing.", OUTPUT)]
Trust = Annotated[
    bool,
    Opt("Run the Python that the checkpoint carries. Files that prunecli wrote need no flag.", DANGEROUS),
]
AllowPickle = Annotated[
    bool, Opt("Read tensors, and nothing but tensors, out of pytorch_model.bin files.", DANGEROUS)
]
Base = Annotated[
    Path | None, Opt("Folder with the config.json of the base model, where the source only names one.")
]
ShardSize = Annotated[str, Opt("Largest file of weights, as 5GB; what is over goes on in the next.", OUTPUT)]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Where to compute.", TRAINING)]
BatchSize = Annotated[int, Opt("Examples a batch.", TRAINING, minimum=1)]
CalibrationRows = Annotated[int, Opt("Training rows that units are scored with.", BUDGET, minimum=8)]
RecoveryEpochs = Annotated[
    int, Opt("Epochs that train the model already cut, at the end.", BUDGET, minimum=0)
]
RecoveryLr = Annotated[float, Opt("Learning rate of these epochs.", BUDGET, minimum=0)]
Seed = Annotated[int, Opt("Seed of everything random.", TRAINING, minimum=0)]

MaskConvention = Annotated[
    Literal["auto", "inputs", "outputs"],
    Opt(
        "What the two FFN masks of .pt files scale: inputs or outputs of the linears that name them. "
        "auto goes by their shapes.",
        MASKS,
    ),
]

Group = Literal["head", "ffn_int", "ffn_out", "ffn_in", "layer", "hidden", "all"]
PRICED_GROUPS = ("head", "ffn_int")  # what each unit costs does not depend on other groups
GROUPS = ("head", "ffn_int", "ffn_out", "ffn_in")  # parts of layers: rows and columns of linears
WIDTHS = (*GROUPS, "hidden")  # groups that make up how wide something is
EVERY_GROUP = (*GROUPS, "layer", "hidden")


def run_name(model: str, task: str) -> str:
    """Return what a run is called: `MODEL-TASK`, or `MODEL` alone where its last word is the task."""
    name, of = Path(model).name or Path(model).resolve().name, Path(task).stem
    return name if name == of or name.endswith((f"-{of}", f"_{of}")) else f"{name}-{of}"


def parse_fields(asked: str | None) -> tuple[str, ...] | None:
    """Split what `--fields` names.

    Raises:
        InputError: It names neither one nor two fields.
    """
    if asked is None:
        return None
    fields = tuple(field.strip() for field in asked.split(","))
    if not all(fields) or len(fields) > 2:
        raise InputError(
            f"--fields {asked!r} must name one field, or two", "write --fields A or --fields A,B"
        )
    return fields
