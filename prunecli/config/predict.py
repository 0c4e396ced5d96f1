"""`predict`: records in, labels out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.config.shared import Trust
from prunecli.fields import OUTPUT, Opt, VerbConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig(VerbConfig):
    """`prunecli predict CHECKPOINT [FILE]`."""

    verb: ClassVar[str] = "predict"

    checkpoint: Annotated[Path, Opt("A checkpoint or pruned folder.", positional=True)]
    source: Annotated[
        str,
        Opt(
            "JSONL, CSV, TSV, Parquet or text file; - reads standard input. Fields called label and score come out as "
            "input_label and input_score.",
            positional=True,
        ),
    ] = "-"
    fields: Annotated[
        str | None, Opt("Fields with the text, as A or A,B, where they have no known name.")
    ] = None
    batch_size: Annotated[int, Opt("Records a batch.", minimum=1)] = 32
    max_length: Annotated[
        int | None, Opt("Tokens a record is cut to. Default: what the model takes.", minimum=8)
    ] = None
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Where to compute.")] = "auto"
    out: Annotated[
        Path | None, Opt("JSONL file to write instead of standard output.", OUTPUT, short="-o")
    ] = None
    overwrite: Annotated[bool, Opt("Replace the output file if it exists.", OUTPUT)] = False
    trust_remote_code: Trust = False
