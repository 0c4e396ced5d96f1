"""`prunecli predict`."""

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import PredictConfig
from prunecli.errors import ExitCode, InputError


def _run(config: PredictConfig, out: Output) -> ExitCode:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when transformers is imported
    if config.source == "-" and sys.stdin is not None and sys.stdin.isatty():
        out.line("Reading standard input; end it with Ctrl-D ...")
    from prunecli.operations import predict

    predictions = predict.run(config)
    started = time.perf_counter()
    count = _print(predictions) if config.out is None else sum(1 for _ in predictions)
    rate = count / (time.perf_counter() - started)
    where = f" in {config.out}" if config.out else ""
    out.line(f"{count:,} record{'' if count == 1 else 's'}{where}, {rate:,.0f} a second")
    return ExitCode.DONE


def _print(records: Iterable[dict[str, Any]]) -> int:
    """Write records to standard output and count them; a reader that has enough (`| head`) ends it early."""
    from prunecli.inference.jsonl import line_of

    count = 0
    for record in records:
        if not _write(line_of(record)):
            break
        count += 1
    _write(b"", flush=True)
    return count


def _write(line: bytes, flush: bool = False) -> bool:
    try:
        sys.stdout.buffer.write(line)
        if flush:
            sys.stdout.buffer.flush()
    except OSError as error:
        # What is left in the buffer would fail once more when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise InputError(
                f"standard output could not be written: {error.strerror}", "free some space"
            ) from None
        return False
    return True


VERB = Verb(
    PredictConfig,
    _run,
    "Use a checkpoint: records in, the same records with label and score out, as JSONL in input order.",
    (
        "prunecli predict pruned-qqp pairs.jsonl",
        "prunecli predict pruned-demo reviews.csv --fields body --out scored.jsonl",
        "echo 'a lovely film' | prunecli predict pruned-demo",
    ),
)
