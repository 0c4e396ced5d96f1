"""Candidates take turns fairly, and what is summed up is what was measured."""

import os
import time

import pytest
import torch

from prunecli.inference import timing
from prunecli.inference.timing import Spread, is_busy, take_turns, threads

CPU = torch.device("cpu")


def ran(count: int, rounds: int) -> list[tuple[int, ...]]:
    """Return the order in which candidates ran, one entry a round."""
    order: list[int] = []
    candidates = [lambda number=number: order.append(number) for number in range(count)]
    times = take_turns(candidates, rounds, CPU)
    assert [len(row) for row in times] == [rounds] * count
    return [tuple(order[start : start + count]) for start in range(0, len(order), count)]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_candidate_runs_once_a_round_and_the_first_round_is_extra(count: int) -> None:
    found = ran(count, rounds=4)
    assert [sorted(order) for order in found] == [list(range(count))] * 5


def test_of_two_each_begins_as_often() -> None:
    found = ran(2, rounds=19)
    assert sum(order == (0, 1) for order in found) == 10


def test_no_candidate_always_follows_the_same_one() -> None:
    before = {order[order.index(3) - 1] for order in ran(6, rounds=20) if order.index(3)}
    assert len(before) > 2


def test_times_are_those_of_the_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(timing, "CLOCKS", dict.fromkeys(("cpu", "wall"), lambda: clock[0]))

    def takes(seconds: float) -> None:
        clock[0] += seconds

    times = take_turns([lambda: takes(1), lambda: takes(0.25)], 3, CPU)
    assert times == [[1000.0] * 3, [250.0] * 3]


def test_one_thread_on_a_cpu_has_a_time_of_its_own() -> None:
    assert timing.clock_for(CPU, 2) == timing.clock_for(torch.device("cuda"), 1) == "wall"
    if time.get_clock_info("thread_time").resolution < 1e-5:
        assert timing.clock_for(CPU, 1) == "cpu"
        with threads(1):
            (slept,) = take_turns([lambda: time.sleep(0.05)], 3, CPU)
        assert max(slept) < 50


def test_a_spread_is_the_median_and_the_middle_half() -> None:
    assert Spread.of([5, 1, 2, 3, 4]) == Spread(3, 2, 4)


def test_threads_are_set_for_the_block_alone() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_machine_is_busy_where_no_core_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert not is_busy(1.0, 3)
    assert is_busy(2.0, 3)
    assert not is_busy(None, 3)
