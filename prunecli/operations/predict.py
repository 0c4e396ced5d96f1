"""`predict`: run a checkpoint over records."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Self

from transformers import PreTrainedModel

from prunecli.checkpoints.source import find_folder
from prunecli.config import PredictConfig
from prunecli.config.shared import parse_fields
from prunecli.errors import InputError
from prunecli.inference import kinds
from prunecli.inference.batching import Batcher
from prunecli.inference.first_token import read_first_token_only
from prunecli.inference.formats import read_records
from prunecli.inference.formats.base import Reading, Record
from prunecli.inference.formats.trec import read_run
from prunecli.inference.interrupted_run import (
    asked_in,
    check_no_interrupted_run,
    check_same_run,
    done_before,
    skip,
)
from prunecli.inference.kinds.base import Setting
from prunecli.inference.one_record import check_one_record, one_record
from prunecli.inference.output_file import check_file_target, check_outside, written
from prunecli.inference.packed_linears import pack_linears
from prunecli.inference.runnable import has_table, load_runnable, read_runnable
from prunecli.inference.stream import ERROR, predictions
from prunecli.inference.text_fields import with_named_fields
from prunecli.models.shipped import encoder_of

log = logging.getLogger(__name__)

BATCH_TOKENS = {"cpu": 1024}  # what fits into a core's caches; a GPU wants more
BATCH_TOKENS_ELSEWHERE = 16384
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
    records_per_second: float


class Predictor:
    """A checkpoint that is loaded once and used often.

    Args:
        checkpoint: Its folder.
        **options: Fields of `PredictConfig`.

    Raises:
        PruneError: The checkpoint cannot be used.
    """

    def __init__(self, checkpoint: str | PathLike[str], **options: Any) -> None:
        self._load(PredictConfig.of({"checkpoint": str(checkpoint), **options}))

    @classmethod
    def of(cls, config: PredictConfig) -> Self:
        """Load what a config names."""
        made = cls.__new__(cls)
        made._load(config)
        return made

    def _load(self, config: PredictConfig) -> None:
        self.config = config
        self.fields = parse_fields(config.fields)
        checkpoint = read_runnable(find_folder(config.checkpoint))
        self.kind_name, kind = kinds.kind_of(checkpoint, config.kind)
        if config.query is not None:
            check_one_record(self.kind_name, kind, tuple(one_record(config.query, config.document)))
        self.runnable = load_runnable(checkpoint, config)
        loaded = self.runnable
        if isinstance(loaded.model, PreTrainedModel) and has_table(checkpoint):
            encoder = encoder_of(checkpoint)
            if kind.reads_logits_only:
                read_first_token_only(loaded.model, encoder)
            pack_linears(loaded.model, encoder)
        self.kind = kind(
            Setting(checkpoint, loaded.model.config, loaded.tokenizer, loaded.max_length, config)
        )

    def __call__(self, records: Iterable[Mapping[str, Any]]) -> "Predictions":
        """Predict as records are asked for; memory does not grow with their number.

        Raises:
            PruneError: The output file cannot be used.
        """
        check_out(self.config)
        return Predictions(self, (_as_record(record) for record in records))

    def batcher(self) -> Batcher:
        """Return what runs the model, with counts of its own."""
        loaded = self.runnable
        usual = BATCH_TOKENS.get(loaded.device.type, BATCH_TOKENS_ELSEWHERE)
        return Batcher(
            loaded.model,
            loaded.device,
            self.kind.outputs,
            loaded.tokenizer,
            self.config.batch_tokens or usual,
        )


class Predictions(Iterator[Record]):
    """Records with what is predicted of them, in the order of the input; `result` sums up what was done so far."""

    def __init__(self, predictor: Predictor, readings: Iterable[Reading]) -> None:
        self.predictor, self.config = predictor, predictor.config
        self.seen: Counter[str] = Counter()
        self.notes = notes = Counter[str]()
        # The thread that reads holds `count`; were it a method of self, a run that is dropped would never end.
        setting = replace(predictor.kind.setting, count=lambda what: notes.update((what,)))
        self.kind = type(predictor.kind)(setting)
        self.resumed = 0
        self.batcher = predictor.batcher()
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
        yield from written(found, config.out, asked_in(config), config.resume)

    def _found(self, readings: Iterator[Reading], fields: tuple[str, ...] | None) -> Iterator[Record]:
        found = predictions(readings, self.kind, self.batcher, fields, self.seen)
        for record in found:
            if self.config.fail_fast and ERROR in record:
                number = self.resumed + self.seen["records"]
                raise InputError(f"record {number}: {record[ERROR]}", "mend it, or leave out --fail-fast")
            yield record
        for what, count in self.notes.items():
            log.warning(TOLD[what], count, self.seen["records"], self.predictor.runnable.max_length)

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
            records_per_second=self.seen["records"] / seconds,
        )


def run(config: PredictConfig, records: Iterable[Mapping[str, Any]] | None = None) -> Predictions:
    """Load the checkpoint and predict as records are asked for.

    Args:
        config: What to do; with `out`, predictions are also written there as they are taken.
        records: The input, instead of what `config` names.

    Raises:
        PruneError: The checkpoint, the input or the output file cannot be used.
    """
    check_out(config)
    readings = _input(config) if records is None else map(_as_record, records)
    return Predictions(Predictor.of(config), readings)


def check_out(config: PredictConfig) -> None:
    """Refuse an output file that cannot be used, before anything is read.

    Raises:
        PruneError: It stands already, whole or begun, cannot be written, would stand in the checkpoint,
            or an interrupted run had other options.
    """
    if config.out is not None:
        check_outside(config.out, config.checkpoint)
        check_file_target(config.out, config.overwrite)
        if config.resume:
            check_same_run(config.out, asked_in(config))
        elif not config.overwrite:
            check_no_interrupted_run(config.out)


def _input(config: PredictConfig) -> Iterable[Reading]:
    if config.topics is not None and config.collection is not None:
        return read_run(config.source, config.topics, config.collection)
    if config.query is None:
        return read_records(config.source)
    return [one_record(config.query, config.document)]


def _as_record(record: Any) -> Reading:
    if isinstance(record, Mapping):
        return dict(record)
    return InputError(f"a {type(record).__name__} is no mapping of fields", 'pass {"text": ...}')
