"""Batches of like length, order of the input, bounded look-ahead."""

from pathlib import Path

import pytest
import torch

from prunecli.inference.batching import LOOK_AHEAD, forward, windows
from prunecli.inference.kinds.base import Rows
from prunecli.inference.runnable import Runnable, load_runnable
from prunecli.inference.text_fields import Item

LENGTHS = (3, 12, 5, 3, 12, 40, 5, 4)


@pytest.fixture
def runnable(bert: Path) -> Runnable:
    return load_runnable(bert, None, "cpu", trust_remote_code=False)


@pytest.fixture
def rows(runnable: Runnable) -> Rows:
    texts = [
        " ".join(["good", "bad", "dull"][number % 3] for _ in range(n - 2))
        for number, n in enumerate(LENGTHS)
    ]
    return runnable.kind.encode([Item({}, (text,)) for text in texts], runnable.tokenizer, 64)


def test_outputs_come_in_the_order_of_the_rows(runnable: Runnable, rows: Rows) -> None:
    together = forward(runnable.model, runnable.tokenizer, rows, batch_size=3)
    for row, output in enumerate(together):
        with torch.no_grad():
            alone = runnable.model(torch.tensor([rows.inputs["input_ids"][row]])).logits[0]
        torch.testing.assert_close(output["logits"], alone)


def test_batches_are_of_like_length_and_the_longest_comes_first(runnable: Runnable, rows: Rows) -> None:
    shapes = []
    runnable.model.register_forward_pre_hook(
        lambda model, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    forward(runnable.model, runnable.tokenizer, rows, batch_size=3)
    assert shapes == [(3, 40), (3, 5), (2, 3)]


def test_a_window_reads_no_further_than_it_must() -> None:
    read = []
    stream = (read.append(number) or Item({}, ("a",)) for number in range(1000))
    assert [len(window) for window, _ in zip(windows(stream, 2), range(2), strict=False)] == [
        2 * LOOK_AHEAD
    ] * 2
    assert len(read) <= 3 * 2 * LOOK_AHEAD


def test_the_last_window_is_what_is_left() -> None:
    assert [len(window) for window in windows([Item({}, ())] * (LOOK_AHEAD + 1), 1)] == [LOOK_AHEAD, 1]
