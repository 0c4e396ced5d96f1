"""Options that several verbs have."""

from pathlib import Path
from typing import Annotated, Literal

from prunecli.errors import InputError
from prunecli.fields import BUDGET, DANGEROUS, MASKS, OUTPUT, TRAINING, Opt

ONLY_TRAINS = "--method magnitude --target-flops 1 --recovery-epochs 8"  # train-masks that removes nothing
TaskName = Annotated[
    str,
    Opt(
        "cola, mnli, mrpc, qnli, qqp, rte, sst2, stsb, wnli, squad, squad_v2, demo, "
        "or a data file or folder of your own.",
        positional=True,
    ),
]
DataDir = Annotated[
    Path | None, Opt("Folder with the task's train and validation files, instead of the hub.")
]
TextColumns = Annotated[
    str | None, Opt("Columns with the text (or words, or choices) of your own data, as A or A,B.")
]
LabelColumn = Annotated[str | None, Opt("Column with the label of your own data.")]
TaskKind = Annotated[
    str | None, Opt("Kind of task of your own data, where the columns do not tell: masked-lm ...")
]
MaxLength = Annotated[
    int | None,
    Opt(
        "Maximum tokens per example. Default: what a run was trained with, else 128, for SQuAD and "
        "documents 384, or what the model takes.",
        minimum=8,
    ),
]

Overwrite = Annotated[
    bool, Opt("Replace the output folder if it exists; it is swapped in when all is done.", OUTPUT)
]
DryRun = Annotated[bool, Opt("Print the plan; write nothing.", OUTPUT)]
Trust = Annotated[
    bool,
    Opt("Run the Python that the checkpoint carries. Files that prunecli wrote need no flag.", DANGEROUS),
]
AllowPickle = Annotated[
    bool, Opt("Read tensors, and nothing but tensors, out of pytorch_model.bin files.", DANGEROUS)
]
Base = Annotated[
    Path | None, Opt("Folder with the config.json of the base model, if the source only names one.")
]
ShardSize = Annotated[
    str, Opt("Maximum size of one weight file, as 5GB; larger checkpoints are written in shards.", OUTPUT)
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Device to run on.", TRAINING)]
BatchSize = Annotated[int, Opt("Examples per batch.", TRAINING, minimum=1)]
CalibrationRows = Annotated[int, Opt("Training rows to score units on.", BUDGET, minimum=8)]
USUAL_RECOVERY = 2  # epochs
RecoveryEpochs = Annotated[
    int | None,
    Opt(
        "Epochs of training after the cut, of the smaller model. Default: 2 after gates under a target, else 0.",
        BUDGET,
        minimum=0,
    ),
]
RecoveryLr = Annotated[float, Opt("Learning rate of the recovery epochs.", BUDGET, minimum=0)]
Seed = Annotated[int, Opt("Random seed.", TRAINING, minimum=0)]

MaskConvention = Annotated[
    Literal["auto", "inputs", "outputs"],
    Opt(
        "What the two FFN masks of .pt files scale: inputs or outputs of the linears that name them. "
        "auto tells by their shapes.",
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
