"""Batches of like length, and outputs in the order of the input.

Rows are sorted by token count within a window of the input, so that memory does not grow with the file and
little is spent on padding.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from prunecli.inference.kinds.base import Outputs, Rows
from prunecli.inference.text_fields import Item

LOOK_AHEAD = 64  # batches a window: rows in it differ in length by a token or two


def windows(items: Iterable[Item], batch_size: int) -> Iterator[list[Item]]:
    """Cut a stream into lists that are long enough to sort."""
    stream = iter(items)
    while window := list(islice(stream, LOOK_AHEAD * batch_size)):
        yield window


@torch.inference_mode()
def forward(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Rows, batch_size: int
) -> list[Outputs]:
    """Run the model over rows, longest first, so that what does not fit into memory fails at once.

    Returns:
        What the model says of each row, on the CPU, in the order of `rows`.
    """
    collate = DataCollatorWithPadding(tokenizer)
    lengths = [len(ids) for ids in rows.inputs["input_ids"]]
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    outputs: dict[int, Outputs] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        padded = collate([{name: values[row] for name, values in rows.inputs.items()} for row in batch])
        found = model(**{name: ids.to(model.device) for name, ids in padded.items()})
        outputs |= dict(zip(batch, _by_row(found), strict=True))
    return [outputs[row] for row in range(len(order))]


def _by_row(found: dict[str, Tensor]) -> list[Outputs]:
    moved = {name: values.float().cpu() for name, values in found.items()}
    return [dict(zip(moved, row, strict=True)) for row in zip(*moved.values(), strict=True)]
