"""What `predict` gives: records with what is predicted of them, one after the other, and a sum of what was done."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prunecli.config.predict import is_trec
from prunecli.errors import InputError
from prunecli.inference.formats.base import Reading, Record
from prunecli.inference.interrupted_run import asked_in, done_before, skip
from prunecli.inference.output_file import written
from prunecli.inference.stream import ERROR, Window, encoded_ahead, predictions
from prunecli.inference.text_fields import with_named_fields

if TYPE_CHECKING:
    from prunecli.operations.predict import Predictor

log = logging.getLogger(__name__)

SHOWN_ERRORS = 10
TOLD = {
    "records_cut": "%d of %d records were longer than %d tokens and were cut",
    "queries_cut": "The queries of %d of %d records took more than half of %d tokens and were cut",
}


@dataclass(frozen=True, slots=True)
class PredictResult:
    """What was done.

    Attributes:
        checkpoint: The folder.
        kind: What it was used for.
        out: The file that was written; None where records went to standard output.
        records: Records that came out.
        resumed: Records that an interrupted run had written before.
        errors: Records with an error instead of a prediction, those of the interrupted run too.
        records_cut: Records that were longer than the model takes, or than was asked for.
        queries_cut: Queries that left no room for a document.
        tokens: Tokens of texts that went through the model.
        padded_tokens: The same with padding.
        batches: Forward passes.
        halved: How often a batch was halved for want of memory.
        device: Where it was computed.
        dtype: Type of the numbers.
        seconds: Wall time, without loading.
        load_seconds: Wall time of loading the checkpoint.
        model_seconds: Of `seconds`, what the model took.
        waiting_seconds: Of `seconds`, what it waited for records that were read and tokenised beside it.
        records_per_second: Records by seconds.
    """

    checkpoint: Path
    kind: str
    out: Path | None
    records: int
    resumed: int
    errors: int
    records_cut: int
    queries_cut: int
    tokens: int
    padded_tokens: int
    batches: int
    halved: int
    device: str
    dtype: str
    seconds: float
    load_seconds: float
    model_seconds: float
    waiting_seconds: float
    records_per_second: float


class Predictions(Iterator[Record]):
    """Records with what is predicted of them, in the order of the input; `result` sums up what was done so far."""

    def __init__(self, predictor: "Predictor", readings: Iterable[Reading]) -> None:
        self.predictor, self.config = predictor, predictor.config
        self.seen: Counter[str] = Counter()
        self.notes = notes = Counter[str]()
        # The thread that reads holds `count`; were it a method of self, a run that is dropped would never end.
        setting = replace(predictor.kind.setting, count=lambda what: notes.update((what,)))
        self.kind = type(predictor.kind)(setting)
        self.resumed = 0
        self.batcher, self.waited = predictor.batcher(), 0.0
        self.started = time.perf_counter()
        self.records = self._records(iter(readings))

    def __next__(self) -> Record:
        return next(self.records)

    def _records(self, readings: Iterator[Reading]) -> Iterator[Record]:
        config, fields = self.config, self.predictor.fields
        if fields is not None and not config.resume:
            readings = with_named_fields(readings, fields)
        if config.out is None:
            yield from self._found(readings, fields)
            return
        if config.resume:
            done = done_before(config.out)
            self.resumed, self.seen["errors"] = done.records, done.errors
            fields = skip(readings, done, self.kind, fields)
        found = self._found(readings, fields)
        yield from written(found, config.out, asked_in(config), config.resume, config.overwrite)

    def _found(self, readings: Iterator[Reading], fields: tuple[str, ...] | None) -> Iterator[Record]:
        windows = encoded_ahead(readings, self.kind, fields)
        found = predictions(self._timed(windows), self.kind, self.batcher, self.seen)
        for record in found:
            if self.config.fail_fast and ERROR in record:
                number = self.resumed + self.seen["records"]
                raise InputError(f"record {number}: {record[ERROR]}", "mend it, or leave out --fail-fast")
            if ERROR in record and is_trec(self.config.out) and self.seen["errors"] <= SHOWN_ERRORS:
                log.warning("%s", record[ERROR])  # a run has no place for it
            yield record
        for what, count in self.notes.items():
            log.warning(TOLD[what], count, self.seen["records"], self.predictor.runnable.max_length)

    def _timed(self, windows: Iterator[Window]) -> Iterator[Window]:
        """Count the time that is spent on waiting for the next window."""
        while True:
            started = time.perf_counter()
            window = next(windows, None)
            self.waited += time.perf_counter() - started
            if window is None:
                return
            yield window

    def result(self) -> PredictResult:
        """Sum up what was done."""
        seconds = time.perf_counter() - self.started
        tally, loaded = self.batcher.tally, self.predictor.runnable
        return PredictResult(
            checkpoint=self.config.checkpoint,
            kind=self.predictor.kind_name,
            out=self.config.out,
            records=self.seen["records"],
            resumed=self.resumed,
            errors=self.seen["errors"],
            records_cut=self.notes["records_cut"],
            queries_cut=self.notes["queries_cut"],
            tokens=tally.real,
            padded_tokens=tally.padded,
            batches=tally.batches,
            halved=tally.halved,
            device=loaded.device.type,
            dtype=str(loaded.model.dtype).removeprefix("torch."),
            seconds=seconds,
            load_seconds=self.predictor.seconds,
            model_seconds=tally.seconds,
            waiting_seconds=self.waited,
            records_per_second=self.seen["records"] / seconds,
        )
