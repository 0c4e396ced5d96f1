"""`convert`: a source, what it shall become, and how its weights are written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.config.shared import DryRun, Overwrite, ShardSize
from prunecli.fields import DANGEROUS, OUTPUT, Opt, VerbConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertConfig(VerbConfig):
    """`prunecli convert SOURCE OUT`."""

    verb: ClassVar[str] = "convert"

    source: Annotated[Path, Opt("The folder to read: its kind is recognised.", positional=True)]
    out: Annotated[Path | None, Opt("The folder to write; --dry-run needs none.", positional=True)] = None
    to: Annotated[
        str | None,
        Opt(
            "Kind to write: pruning-encoder, ranking-model, stock. Default: what the source becomes.",
            metavar="KIND",
        ),
    ] = None
    from_: Annotated[str | None, Opt("Insist on the kind of the source.", metavar="KIND")] = None
    base: Annotated[
        Path | None, Opt("Folder with the config.json of the base model, where the source only names one.")
    ] = None
    seed: Annotated[int, Opt("Seed of a new head.", minimum=0)] = 0
    dtype: Annotated[
        Literal["keep", "float32", "float16", "bfloat16"], Opt("Type to round the weights to.", OUTPUT)
    ] = "keep"
    max_shard_size: ShardSize = "50GB"
    overwrite: Overwrite = False
    dry_run: DryRun = False
    atol: Annotated[
        float | None, Opt("Largest difference that counts as equal. Default: 1e-5.", OUTPUT, minimum=0)
    ] = None
    timeout: Annotated[int, Opt("Seconds that the isolated child may take.", OUTPUT, minimum=1)] = 600
    allow_pickle: Annotated[
        bool, Opt("Read tensors, and nothing but tensors, out of pytorch_model.bin files.", DANGEROUS)
    ] = False
