"""`predict --calibrate`: the threshold of context pruning that is best on examples."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prunecli.checkpoints.atomic import write_file
from prunecli.config import PredictConfig
from prunecli.errors import InputError
from prunecli.fields import plain
from prunecli.inference.formats import read_records
from prunecli.inference.formats.base import Record
from prunecli.inference.thresholds import choose
from prunecli.operations.predict import Predictor, check_out
from prunecli.operations.predictions import Predictions

RELEVANT = "relevant"
CONTEXT_PRUNING = "context-pruning"


@dataclass(frozen=True, slots=True)
class CalibrateResult:
    """The threshold with the best F2, and what it does on the examples.

    Attributes:
        checkpoint: The folder that it is for.
        gold: The examples.
        out: The file that `--threshold` takes; None where none was named.
        threshold: Probability over which a sentence is kept.
        f2: F-measure in which recall counts twice as much as precision.
        precision: Share of the kept sentences that are relevant.
        recall: Share of the relevant sentences that are kept.
        kept: Share of all sentences that are kept.
        records: How many there are.
        sentences: How many there are.
        relevant: How many of them are relevant.
    """

    checkpoint: Path
    gold: Path
    out: Path | None
    threshold: float
    f2: float
    precision: float
    recall: float
    kept: float
    records: int
    sentences: int
    relevant: int


def run(config: PredictConfig) -> CalibrateResult:
    """Score the sentences of examples, choose the threshold, and write it where `out` says.

    Raises:
        PruneError: The checkpoint is none for context pruning, or a record does not say what is relevant.
    """
    assert config.calibrate is not None
    check_out(config)
    every = replace(config, calibrate=None, out=None, threshold=("0",), kind=CONTEXT_PRUNING, fail_fast=True)
    probabilities: list[float] = []
    relevant: list[bool] = []
    records = 0
    for record in Predictions(Predictor.of(every), read_records(str(config.calibrate))):
        records += 1
        try:
            for sentence, wanted in _judged(record):
                probabilities.append(sentence["probability"])
                relevant.append(wanted)
        except InputError as error:
            raise InputError(f"{config.calibrate} record {records}: {error.message}", error.fix) from None
    choice = choose(probabilities, relevant)
    result = CalibrateResult(
        config.checkpoint, config.calibrate, config.out, records=records, **asdict(choice)
    )
    if config.out is not None:
        write_file(config.out, json.dumps(plain(asdict(result)), indent=1) + "\n")
    return result


def _judged(record: Record) -> Iterator[tuple[Record, bool]]:
    """Yield each sentence of a record with whether it is relevant."""
    said = record.get(RELEVANT)
    if "results" not in record:
        yield from _of_document(record, said)
        return
    documents = sorted(record["results"], key=lambda result: result["index"])
    if not isinstance(said, list) or len(said) != len(documents):
        raise InputError(
            f"field {RELEVANT!r} has to hold an entry for each of {len(documents)} documents",
            "write true or false for a document, or a list for its sentences",
        )
    for document, entry in zip(documents, said, strict=True):
        yield from _of_document(document, entry)


def _of_document(document: Record, said: Any) -> Iterator[tuple[Record, bool]]:
    """Read true or false for all, one a sentence, or `[start, end]` characters of what is relevant."""
    sentences = document["sentences"]
    if _is_flag(said):
        yield from ((sentence, bool(said)) for sentence in sentences)
    elif isinstance(said, list) and all(map(_is_span, said)):
        for sentence in sentences:
            yield sentence, any(start < sentence["end"] and stop > sentence["start"] for start, stop in said)
    elif isinstance(said, list) and len(said) == len(sentences) and all(map(_is_flag, said)):
        yield from ((sentence, bool(entry)) for sentence, entry in zip(sentences, said, strict=True))
    else:
        raise InputError(
            f"field {RELEVANT!r} does not say of each of {len(sentences)} sentences whether it is relevant",
            "write one true or false a sentence (--split presplit keeps yours), or [start, end] characters",
        )


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | int) and value in (0, 1)


def _is_span(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(place) is int for place in value)
