"""Options that several verbs have."""

from typing import Annotated, Literal

from prunecli.fields import DANGEROUS, MASKS, OUTPUT, TRAINING, Opt

Overwrite = Annotated[
    bool, Opt("Replace the output folder if it exists; it is swapped in when all is done.", OUTPUT)
]
DryRun = Annotated[bool, Opt("Print the plan and write nothing.", OUTPUT)]
Trust = Annotated[
    bool,
    Opt("Run the Python that the checkpoint carries. Files that prunecli wrote need no flag.", DANGEROUS),
]
ShardSize = Annotated[str, Opt("Largest file of weights, as 5GB; what is over goes on in the next.", OUTPUT)]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Where to compute.", TRAINING)]
BatchSize = Annotated[int, Opt("Examples a batch.", TRAINING, minimum=1)]
Seed = Annotated[int, Opt("Seed of everything random.", TRAINING, minimum=0)]

MaskConvention = Annotated[
    Literal["auto", "inputs", "outputs"],
    Opt(
        "What the two FFN masks of .pt files scale: inputs or outputs of the linears that name them. "
        "auto goes by their shapes.",
        MASKS,
    ),
]

Group = Literal["head", "ffn_int", "ffn_out", "ffn_in", "layer", "all"]
GROUPS = ("head", "ffn_int", "ffn_out", "ffn_in")  # parts of layers: rows and columns of linears
EVERY_GROUP = (*GROUPS, "layer")
