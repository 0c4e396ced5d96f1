"""`prunecli convert`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prunecli.cli.loading import loading
from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import ConvertConfig
from prunecli.config.shared import ONLY_TRAINS
from prunecli.errors import ExitCode

if TYPE_CHECKING:
    from prunecli.operations.convert import ConvertResult


def _run(config: ConvertConfig, out: Output) -> ExitCode:
    from prunecli.checkpoints.source import local_model

    local_model(config.source, "")
    if Path(config.source).exists():
        os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when transformers is imported
    with loading():
        from prunecli.operations import convert

    result = convert.run(config)
    out.result(result, quiet=str(result.out) if result.written else "", verb=config.verb)
    if config.dry_run:
        out.line(
            f"Dry run, nothing written. It would write {result.tensors} tensors, {result.bytes:,} bytes: "
            f"{', '.join(result.files)}"
        )
        return ExitCode.DONE
    failed = out.findings(result.findings)
    if failed:
        out.line(f"What was written does not equal the source: {', '.join(failed)}. Nothing is left of it.")
        return ExitCode.VERDICT_NO
    out.line(f"{result.out} is proven equal to its source. Next: prunecli {_next(result)}")
    return ExitCode.DONE


def _next(result: "ConvertResult") -> str:
    """Return the command that goes on with what was written."""
    if result.new_parameters:
        return f"train-masks {result.out} ROWS.jsonl {ONLY_TRAINS}, which trains its new head"
    return f"predict {result.out} FILE" if result.to == "onnx" else f"verify-automodel {result.out}"


VERB = Verb(
    ConvertConfig,
    _run,
    "Convert a checkpoint to a standard folder, a new head or a graph, and prove it equal to its source.",
    (
        "prunecli convert ./open-provence-model ./converted",
        "prunecli convert ./pruning-encoder ./converted --allow-pickle",
        "prunecli convert ./my-reranker ./fresh --to pruning-encoder",
        "prunecli convert bert-base-uncased ./tagger --to masked-seq --num-labels 3 --task multiclass",
        "prunecli convert ./converted ./reranker --to ranking-model --dtype float16",
        "prunecli convert pruned-qqp pruned-qqp-onnx --to onnx",
    ),
)
