"""`predict`: run a checkpoint over records."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prunecli.checkpoints.source import find_folder
from prunecli.config import PredictConfig
from prunecli.inference.batching import forward, windows
from prunecli.inference.jsonl import check_file_target, written
from prunecli.inference.records import Record, read_records
from prunecli.inference.runnable import Runnable, load_runnable
from prunecli.inference.text_fields import Item, parse_fields, with_texts

log = logging.getLogger(__name__)


def run(config: PredictConfig, records: Iterable[Mapping[str, Any]] | None = None) -> Iterator[Record]:
    """Load the checkpoint and predict as records are asked for; memory does not grow with their number.

    Each record keeps its fields and gets `label` and `score` (a regression gets `score` only). What the input
    calls `label` or `score` is kept as `input_label` and `input_score`.

    Args:
        config: What to do; with `out`, predictions are also written there when the last one was taken.
        records: The input, instead of the file that `config.source` names.

    Returns:
        The records, in the order of the input.

    Raises:
        PruneError: The checkpoint, the input or the output file cannot be used.
    """
    if config.out is not None:
        check_file_target(config.out, config.overwrite)
    fields = parse_fields(config.fields)
    items = with_texts(read_records(config.source) if records is None else records, fields)
    runnable = load_runnable(
        find_folder(config.checkpoint), config.max_length, config.device, config.trust_remote_code
    )
    predictions = _predictions(runnable, items, config.batch_size)
    return predictions if config.out is None else written(predictions, config.out)


def _predictions(runnable: Runnable, items: Iterable[Item], batch_size: int) -> Iterator[Record]:
    kind, count, truncated = runnable.kind, 0, 0
    for window in windows(items, batch_size):
        rows = kind.encode(window, runnable.tokenizer, runnable.max_length)
        outputs = forward(runnable.model, runnable.tokenizer, rows, batch_size)
        found = kind.decode(rows, outputs, runnable.model.config)
        for item, fields in zip(window, found, strict=True):
            yield {**_renamed(item.record, kind.writes), **fields}
        count, truncated = count + len(window), truncated + rows.truncated
    if truncated:
        log.warning(
            "%d of %d records were longer than %d tokens and were cut", truncated, count, runnable.max_length
        )


def _renamed(record: Record, taken: tuple[str, ...]) -> Record:
    """Give fields whose names the prediction takes another name, so that labels of labelled data are kept."""
    kept = {}
    for name, value in record.items():
        free = name
        while free in taken or (free != name and free in record):
            free = f"input_{free}"
        kept[free] = value
    return kept
