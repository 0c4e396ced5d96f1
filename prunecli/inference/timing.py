"""Times that can be compared: candidates take turns in one process, so drift of the machine hits all alike."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Literal

import numpy as np
import torch

Run = Callable[[], object]
Clock = Literal["cpu", "wall"]

CLOCKS: dict[Clock, Callable[[], float]] = {"cpu": time.thread_time, "wall": time.perf_counter}
FINE = 1e-5  # seconds; the CPU time of Windows goes in steps of 16 ms


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, with the middle half of the values around it.

    Attributes:
        median: The median.
        low: Lower quartile.
        high: Upper quartile.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Sum up some values."""
        low, high = np.quantile(values, (0.25, 0.75))
        return cls(median(values), float(low), float(high))


@torch.inference_mode()
def take_turns(candidates: Sequence[Run], rounds: int, device: torch.device) -> list[list[float]]:
    """Time every candidate once a round, in an order drawn for each two rounds: one is the other backwards.

    What ran before leaves caches and freed memory behind, so no candidate shall always follow the same one. A
    first round, which allocates, does not count.

    Args:
        candidates: What to time.
        rounds: How often.
        device: Where they compute.

    Returns:
        Milliseconds of each candidate by the clock that `clock_for` names, [candidates, rounds].
    """
    clock = CLOCKS[clock_for(device, torch.get_num_threads())]
    times: list[list[float]] = [[] for _ in candidates]
    for order in islice(_orders(len(candidates)), rounds + 1):
        for number in order:
            times[number].append(_milliseconds(candidates[number], clock, device))
    return [row[1:] for row in times]


def _orders(count: int) -> Iterator[list[int]]:
    random = Random(0)
    while True:
        order = random.sample(range(count), count)
        yield from (order, order[::-1])


def clock_for(device: torch.device, count: int) -> Clock:
    """Say what clock fits: one thread on a CPU has a time of its own, which stands while others have the core."""
    fine = time.get_clock_info("thread_time").resolution < FINE
    return "cpu" if device.type == "cpu" and count == 1 and fine else "wall"


def _milliseconds(run: Run, clock: Callable[[], float], device: torch.device) -> float:
    _wait(device)
    started = clock()
    run()
    _wait(device)
    return (clock() - started) * 1000


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use so many threads, and then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_average() -> float | None:
    """Return how many processes wanted a core in the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def is_busy(load: float | None, wanted: int) -> bool:
    """Say whether others leave too few cores free for the threads that are wanted."""
    return load is not None and load + wanted > (os.cpu_count() or 1) + 0.5


def device_name(device: torch.device) -> str:
    """Return kind and name of a processor, as `cpu AMD EPYC 9B45`."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{device.type} {names[0] if names else os.uname().machine if hasattr(os, 'uname') else ''}".strip()
    )
