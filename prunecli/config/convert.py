"""`convert`: a source, what it shall become, and how its weights are written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.config.shared import AllowPickle, Base, DryRun, Overwrite, ShardSize
from prunecli.errors import InputError
from prunecli.fields import OUTPUT, Opt, VerbConfig

HEAD = "New head for positions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertConfig(VerbConfig):
    """`prunecli convert SOURCE OUT`."""

    verb: ClassVar[str] = "convert"

    source: Annotated[str, Opt("Folder, demo, or hub id to read: its kind is recognised.", positional=True)]
    out: Annotated[Path | None, Opt("The folder to write; --dry-run needs none.", positional=True)] = None
    to: Annotated[
        str | None,
        Opt(
            "Kind to write: masked-seq, onnx, pruned, pruning-encoder, ranking-model, stock. "
            "Default: what the source becomes.",
            metavar="KIND",
        ),
    ] = None
    from_: Annotated[str | None, Opt("Insist on the kind of the source.", metavar="KIND")] = None
    base: Base = None
    seed: Annotated[int, Opt("Seed of a new head.", minimum=0)] = 0
    num_labels: Annotated[int | None, Opt("Labels that a position can have.", HEAD, minimum=1)] = None
    task: Annotated[
        Literal["multilabel", "multiclass"] | None,
        Opt("Any number of labels at a position, or one of them. Default: multilabel.", HEAD),
    ] = None
    id2label: Annotated[
        tuple[str, ...], Opt("Names of the labels, one at a time.", HEAD, metavar="NUMBER=NAME")
    ] = ()
    label2id: Annotated[
        tuple[str, ...], Opt("The same the other way round; either is enough.", HEAD, metavar="NAME=NUMBER")
    ] = ()
    strict_mlm_check: Annotated[
        bool, Opt("Refuse an encoder that AutoModelForMaskedLM does not know.", HEAD)
    ] = False
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
    allow_pickle: AllowPickle = False

    def __post_init__(self) -> None:
        """Check the fields, that there is a folder to write, and that a graph is asked for in its own type.

        Raises:
            InputError: It names the option.
        """
        VerbConfig.__post_init__(self)  # super() does not know the class that slots=True makes
        if self.out is None and not self.dry_run:
            raise InputError("convert needs a folder to write", "name it after the source, or add --dry-run")
        if self.to == "onnx" and self.dtype not in ("keep", "float32"):
            raise InputError(
                f"--to onnx writes float32, and --dtype is {self.dtype}",
                "leave --dtype out, and round the graph with onnxruntime's own tools",
            )
