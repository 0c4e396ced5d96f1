"""`benchmark`: what is timed, and at what sizes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.errors import InputError
from prunecli.fields import OUTPUT, Opt, VerbConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkConfig(VerbConfig):
    """`prunecli benchmark CHECKPOINT [OTHER]`."""

    verb: ClassVar[str] = "benchmark"

    checkpoint: Annotated[
        str, Opt("A checkpoint, pruned folder, or run folder (its dense model).", positional=True)
    ]
    other: Annotated[
        str | None, Opt("Second checkpoint, whose speed-up over the first is measured.", positional=True)
    ] = None
    batch_sizes: Annotated[tuple[int, ...], Opt("Sequences per batch; repeat it for several.", minimum=1)] = (
        1,
        8,
    )
    lengths: Annotated[
        tuple[int, ...],
        Opt(
            "Tokens per sequence; repeat it for several. Default: 128, or the most that the model takes.",
            minimum=2,
        ),
    ] = ()
    rounds: Annotated[int, Opt("Measurements of each; the median is reported.", minimum=3)] = 20
    threads: Annotated[int, Opt("Threads that torch may use.", minimum=1)] = 1
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Device to run on.")] = "cpu"
    table: Annotated[
        bool, Opt("Measure attention and feed-forward sublayers at every width, for --target-speedup.")
    ] = False
    out: Annotated[
        Path | None, Opt("JSON file to write the table to, besides the cache.", OUTPUT, short="-o")
    ] = None
    overwrite: Annotated[bool, Opt("Replace the output file if it exists.", OUTPUT)] = False

    def __post_init__(self) -> None:
        """Check the fields, and that --table, --out and the second checkpoint go together.

        Raises:
            InputError: It names the option.
        """
        VerbConfig.__post_init__(self)  # super() does not know the class that slots=True makes
        if self.out is not None and not self.table:
            raise InputError(
                "--out is for the latency table of --table", "add --table, or redirect what --json prints"
            )
        if self.table and self.other is not None:
            raise InputError("--table measures one checkpoint, but two are named", "leave the second out")
        shapes = len(self.batch_sizes) * max(len(self.lengths), 1)
        if self.out is not None and shapes > 1:
            raise InputError(
                f"--out holds one table, but {shapes} batch shapes are asked for",
                "give one --batch-sizes and one --lengths",
            )
