"""`prunecli predict`."""

import os
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prunecli.checkpoints.atomic import partial_path
from prunecli.cli.loading import loading
from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import PredictConfig
from prunecli.errors import ExitCode, InputError, mend


def _run(config: PredictConfig, out: Output) -> ExitCode:
    from prunecli.checkpoints.source import find_folder
    from prunecli.inference.formats import STDIN
    from prunecli.inference.formats.base import check_readable
    from prunecli.inference.kinds import KINDS

    find_folder(config.checkpoint)
    if config.kind is not None:
        KINDS.check(config.kind, "--kind")
    if config.source != STDIN:
        check_readable(Path(config.source))
    os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when transformers is imported
    reads_stdin = config.source == STDIN and config.query is None and config.calibrate is None
    if reads_stdin and sys.stdin is not None and sys.stdin.isatty():
        out.line("Reading standard input; end it with Ctrl-D ...")
    with loading():
        from prunecli.operations import predict

    if config.calibrate is not None:
        return _calibrate(config, out)
    predictions = predict.run(config)
    if config.out is None:
        if not _print(predictions, out):
            return ExitCode.DONE  # the reader has enough: a sum of what passed would be of no use
    else:
        try:
            deque(predictions, maxlen=0)
        except KeyboardInterrupt:
            if (partial := partial_path(config.out)).exists():
                out.line(f"The same command with --resume goes on from {partial}.")
            raise
    result = predictions.result()
    if config.out is not None:
        out.result(result, quiet=str(config.out), verb=config.verb)
    out.line(_summary(result))
    return ExitCode.VERDICT_NO if result.errors else ExitCode.DONE


def _calibrate(config: PredictConfig, out: Output) -> ExitCode:
    from prunecli.operations import calibrate

    result = calibrate.run(config)
    shares = [f"{100 * value:.1f} %" for value in (result.f2, result.precision, result.recall, result.kept)]
    out.table(["threshold", "F2", "precision", "recall", "kept"], [[f"{result.threshold:.4f}", *shares]])
    out.line(f"{result.sentences:,} sentences of {result.records:,} records, {result.relevant:,} relevant")
    out.result(result, quiet=repr(result.threshold), verb=config.verb)
    return ExitCode.DONE


def _summary(result: Any) -> str:
    where = f" in {result.out}" if result.out else ""
    errors = f", {result.errors:,} with an error" if result.errors else ""
    padding = 100 * (1 - result.tokens / result.padded_tokens) if result.padded_tokens else 0
    records = f"{result.records:,} record{'' if result.records == 1 else 's'}"
    if result.resumed:
        records += f" after the {result.resumed:,} that were there,"
    batches = f"{result.batches:,} batch{'' if result.batches == 1 else 'es'}"
    return (
        f"{records}{where}{errors}, "
        f"{result.records_per_second:,.0f} a second; {result.tokens:,} tokens in {batches}, "
        f"{padding:.1f} % padding ({result.kind}, {result.dtype} on {result.device})"
    )


def _print(records: Iterable[dict[str, Any]], out: Output) -> bool:
    """Write records to standard output; say whether the reader took all, or had enough (`| head`)."""
    from prunecli.inference.formats.jsonl import line_of

    for record in records:
        if not _write(line_of(record)):
            return False
        out.has_data = True
    return _write(b"", flush=True)


def _write(line: bytes, flush: bool = False) -> bool:
    try:
        sys.stdout.buffer.write(line)
        if flush:
            sys.stdout.buffer.flush()
    except OSError as error:
        # What is left in the buffer would fail once more when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise InputError(f"standard output could not be written: {error.strerror}", mend(error)) from None
        return False
    return True


VERB = Verb(
    PredictConfig,
    _run,
    "Run a checkpoint over records: each comes out with its label, score or spans, in the order of the input.",
    (
        "prunecli predict pruned-qqp pairs.jsonl",
        "prunecli predict pruned-demo reviews.csv --fields body --out scored.jsonl",
        "echo 'a lovely film' | prunecli predict pruned-demo",
        "prunecli predict pruning-encoder --query 'Who wrote it?' --document 'Ada wrote it. It rained.'",
        "prunecli predict pruning-encoder passages.jsonl --threshold 0.3 --budget-tokens 500 --out kept.jsonl",
        "prunecli predict reranker run.trec --kind reranking --topics topics.tsv --collection docs.jsonl",
    ),
)
