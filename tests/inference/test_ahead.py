"""Pieces that a thread makes: order, errors in their place, a reader that stops early."""

import threading
from collections.abc import Iterator

import pytest

from prunecli.inference.ahead import ahead


def test_pieces_come_in_order_and_at_most_one_is_ready() -> None:
    made: list[int] = []

    def pieces() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    for number, piece in enumerate(ahead(pieces())):
        assert piece == number
        assert len(made) <= number + 4  # in use, ready, waiting to be ready, and in the making
    assert len(made) == 20


def test_an_error_comes_out_behind_what_was_made_before_it() -> None:
    def pieces() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    reader = ahead(pieces())
    assert next(reader) == 1
    with pytest.raises(ValueError, match="broken"):
        next(reader)


def test_a_reader_that_stops_stops_the_maker() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    reader = ahead(endless())
    next(reader)
    reader.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]
