"""`predict`: run a checkpoint over records."""

import time
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Self

from transformers import PreTrainedModel

from prunecli.checkpoints.atomic import partial_path
from prunecli.checkpoints.sole_writer import check_free
from prunecli.checkpoints.source import find_folder
from prunecli.config import PredictConfig
from prunecli.config.predict import is_trec
from prunecli.config.shared import parse_fields
from prunecli.errors import InputError
from prunecli.inference import kinds
from prunecli.inference.batching import Batcher
from prunecli.inference.first_token import read_first_token_only
from prunecli.inference.formats import read_records
from prunecli.inference.formats.base import Reading
from prunecli.inference.formats.trec import read_run
from prunecli.inference.interrupted_run import asked_in, check_no_interrupted_run, check_same_run
from prunecli.inference.kinds.base import Setting
from prunecli.inference.one_record import check_one_record, one_record
from prunecli.inference.output_file import check_file_target, check_outside
from prunecli.inference.packed_linears import pack_linears
from prunecli.inference.runnable import has_table, load_runnable, read_runnable
from prunecli.models.shipped import encoder_of
from prunecli.operations.predictions import Predictions

BATCH_TOKENS = {"cpu": 1024}  # what fits into a core's caches; a GPU wants more
BATCH_TOKENS_ELSEWHERE = 16384


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
        started = time.perf_counter()
        self.config = config
        self.fields = parse_fields(config.fields)
        checkpoint = read_runnable(find_folder(config.checkpoint))
        self.kind_name, kind = kinds.kind_of(checkpoint, config.kind)
        kinds.check_options(self.kind_name, config)
        if config.query is not None:
            check_one_record(self.kind_name, kind, tuple(one_record(config.query, config.document)))
        if is_trec(Path(config.source)) and "results" not in kind.writes:
            raise InputError(
                f"{config.source}: a TREC run lists documents, which {self.kind_name} does not read",
                "add --kind reranking",
            )
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
        if is_trec(config.out) and not self.kind.ranks:
            raise InputError(
                f"--out {config.out}: a TREC run holds scores of documents, and {self.kind_name} with this checkpoint "
                "gives none",
                "let --out end with .jsonl",
            )
        self.seconds = time.perf_counter() - started

    def __call__(self, records: Iterable[Mapping[str, Any] | str]) -> Predictions:
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


def run(config: PredictConfig, records: Iterable[Mapping[str, Any] | str] | None = None) -> Predictions:
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
        check_free(partial_path(config.out))
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
    if isinstance(record, str):  # as a line of a text file
        return {"text": record}
    return InputError(f"a {type(record).__name__} is no mapping of fields", 'pass {"text": ...}')
