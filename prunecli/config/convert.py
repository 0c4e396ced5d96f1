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

    source: Annotated[str, Opt("Folder, demo, or hub id to read; its kind is detected.", positional=True)]
    out: Annotated[Path | None, Opt("Folder to write; not needed with --dry-run.", positional=True)] = None
    to: Annotated[
        str | None,
        Opt(
            "What to write: masked-seq, onnx, pruned, pruning-encoder, ranking-model, stock. "
            "Default: what the source becomes.",
            metavar="KIND",
        ),
    ] = None
    from_: Annotated[
        str | None, Opt("Treat the source as this kind instead of detecting it.", metavar="KIND")
    ] = None
    base: Base = None
    seed: Annotated[int, Opt("Seed of a new head.", minimum=0)] = 0
    num_labels: Annotated[int | None, Opt("Number of labels.", HEAD, minimum=1)] = None
    task: Annotated[
        Literal["multilabel", "multiclass"] | None,
        Opt("Whether a position has any number of labels or exactly one. Default: multilabel.", HEAD),
    ] = None
    id2label: Annotated[
        tuple[str, ...],
        Opt("Name of a label by its number; repeat it for each.", HEAD, metavar="NUMBER=NAME"),
    ] = ()
    label2id: Annotated[
        tuple[str, ...], Opt("The same by name; either is enough.", HEAD, metavar="NAME=NUMBER")
    ] = ()
    strict_mlm_check: Annotated[
        bool, Opt("Refuse encoders that AutoModelForMaskedLM does not know.", HEAD)
    ] = False
    dtype: Annotated[
        Literal["keep", "float32", "float16", "bfloat16"], Opt("Type to round the weights to.", OUTPUT)
    ] = "keep"
    max_shard_size: ShardSize = "50GB"
    overwrite: Overwrite = False
    dry_run: DryRun = False
    atol: Annotated[
        float | None,
        Opt("Largest absolute difference that counts as equal. Default: 1e-5.", OUTPUT, minimum=0),
    ] = None
    timeout: Annotated[
        int, Opt("Time limit of the isolated child process, in seconds.", OUTPUT, minimum=1)
    ] = 600
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
