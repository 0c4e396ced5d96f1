"""Batches of like length within a budget, order of the input, what happens where memory runs out."""

from pathlib import Path
from typing import Any

import pytest
import torch

from prunecli.inference.batching import Batcher
from prunecli.inference.kinds.base import Row
from prunecli.operations.predict import Predictor

LENGTHS = (3, 12, 5, 3, 12, 40, 5, 4)
ROWS = [
    Row({"input_ids": [5 + number] * length, "attention_mask": [1] * length})
    for number, length in enumerate(LENGTHS)
]


@pytest.fixture
def batcher(bert: Path) -> Batcher:
    return Predictor(bert, device="cpu", batch_tokens=40).batcher()


def test_outputs_come_in_the_order_of_the_rows(batcher: Batcher) -> None:
    for row, output in zip(ROWS, batcher.forward(ROWS), strict=True):
        with torch.no_grad():
            alone = batcher.model(input_ids=torch.tensor([row.inputs["input_ids"]]))
        assert output is not None
        torch.testing.assert_close(output["logits"], alone["logits"][0])


def test_batches_are_of_like_length_within_the_budget_and_the_longest_comes_first(batcher: Batcher) -> None:
    shapes: list[tuple[int, ...]] = []
    model = batcher.model

    def noting(**inputs: Any) -> Any:
        shapes.append(tuple(inputs["input_ids"].shape))
        return model(**inputs)

    batcher.model = noting
    batcher.forward(ROWS)
    assert shapes == [(1, 40), (3, 12), (4, 4)] or shapes == [(1, 40), (3, 12), (4, 5)]
    assert (batcher.tally.real, batcher.tally.padded) == (
        sum(LENGTHS),
        sum(rows * tokens for rows, tokens in shapes),
    )


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: not enough memory"), MemoryError()],
)
def test_a_batch_that_does_not_fit_is_halved(batcher: Batcher, error: Exception) -> None:
    """What still fits goes on; a row that never fits has no output."""
    model = batcher.model
    whole = batcher.forward(ROWS)

    def small(**inputs: Any) -> Any:
        if inputs["input_ids"].numel() > 12:
            raise error
        return model(**inputs)

    batcher.model = small
    found = batcher.forward(ROWS)
    assert [output is None for output in found] == [length > 12 for length in LENGTHS]
    assert batcher.tally.halved > 0
    for one, other in zip(found, whole, strict=True):
        if one is not None and other is not None:
            torch.testing.assert_close(one["logits"], other["logits"])


def test_other_errors_come_through(batcher: Batcher) -> None:
    def broken(**inputs: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    batcher.model = broken
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        batcher.forward(ROWS)
