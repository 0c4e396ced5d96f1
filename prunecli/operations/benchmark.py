"""`benchmark`: how fast a checkpoint is, or two of them side by side; or a latency table for budgets."""

import logging
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import torch

from prunecli.checkpoints.folder import Checkpoint, read_checkpoint
from prunecli.checkpoints.run_folder import is_run, model_of
from prunecli.checkpoints.source import find_model
from prunecli.config import BenchmarkConfig
from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.inference.output_file import check_file_target
from prunecli.inference.peak_memory import peak_memory
from prunecli.inference.random_batch import random_batch
from prunecli.inference.runnable import find_device
from prunecli.inference.sublayer_times import Shape, keep, measure
from prunecli.inference.timing import (
    Clock,
    Spread,
    clock_for,
    device_name,
    is_busy,
    load_average,
    take_turns,
    threads,
)
from prunecli.masks import MaskSet
from prunecli.masks.budget import encoder_flops
from prunecli.masks.latency_table import LatencyTable
from prunecli.models.loading import Loaded, load_model
from prunecli.models.shipped import encoder_of, positions_of
from prunecli.progress import Progress, silent
from prunecli.shrink.already import already_cut

log = logging.getLogger(__name__)

USUAL_LENGTH = 128  # tokens


@dataclass(frozen=True, slots=True)
class Size:
    """What a checkpoint takes.

    Attributes:
        checkpoint: The folder.
        parameters: Parameters of the whole model.
        bytes: Bytes of its weight files.
        peak_memory: Bytes that loading it and a forward pass of the largest batch add to a process of its own;
            None where the system does not say.
    """

    checkpoint: Path
    parameters: int
    bytes: int
    peak_memory: int | None


@dataclass(frozen=True, slots=True)
class Speed:
    """One batch shape; pairs are of the first checkpoint and the second.

    Attributes:
        batch_size: Sequences a batch.
        tokens: Tokens a sequence.
        ms: Milliseconds of a forward pass.
        sequences_per_second: Throughput at the median.
        flops: Encoder FLOPs of one sequence.
        speedup: Over the rounds, time of the first by time of the second; None where there is one checkpoint.
        flops_ratio: What FLOPs alone would give.
    """

    batch_size: int
    tokens: int
    ms: tuple[Spread, ...]
    sequences_per_second: tuple[float, ...]
    flops: tuple[int, ...]
    speedup: Spread | None
    flops_ratio: float | None


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """What was measured.

    Attributes:
        sizes: One entry a checkpoint.
        speeds: One entry a batch shape.
        rounds: Forward passes of each checkpoint and shape that count.
        threads: Threads that torch could use.
        device: Kind and name of the processor.
        clock: What times are: `cpu`, the computing thread's own, or `wall`.
        load: Load average before the first forward pass; None where the system has none.
        busy: Whether others used the cores that were needed, so that the numbers are less certain.
    """

    sizes: tuple[Size, ...]
    speeds: tuple[Speed, ...]
    rounds: int
    threads: int
    device: str
    clock: Clock
    load: float | None
    busy: bool


@dataclass(frozen=True, slots=True)
class TablesResult:
    """Latency tables for budgets.

    Attributes:
        tables: One entry a batch shape.
        files: Where each stands in the cache; None where that cannot be written.
        load: Load average before the first measurement.
        busy: Whether others used the cores that were needed.
    """

    tables: tuple[LatencyTable, ...]
    files: tuple[Path | None, ...]
    load: float | None
    busy: bool


@dataclass(frozen=True, slots=True)
class _Subject:
    """A checkpoint that is measured: its folder, what was cut out of it, and the live model."""

    checkpoint: Checkpoint
    encoder: Encoder
    cut: MaskSet
    loaded: Loaded


def run(config: BenchmarkConfig, progress: Progress = silent) -> BenchmarkResult:
    """Measure one checkpoint or two, which take turns on the same inputs.

    Args:
        config: What to measure.
        progress: Called with a label, batch shapes done and batch shapes in all.

    Raises:
        PruneError: A checkpoint cannot be loaded, or takes no sequences of these lengths.
    """
    if config.other is not None and is_run(Path(config.other)):
        log.warning(
            "%s is a run folder, not cut: its dense model is timed; `prunecli apply-masks %s --out pruned` cuts it",
            config.other, config.other,
        )  # fmt: skip
    device = find_device(config.device)
    checkpoints = [_read(name) for name in (config.checkpoint, config.other) if name is not None]
    shapes = _shapes(config, checkpoints)
    load, busy = _load_of_others(config)
    subjects = [_subject(checkpoint, device) for checkpoint in checkpoints]
    speeds = []
    with threads(config.threads):
        for done, shape in enumerate(shapes):
            progress(f"{shape.batch_size} x {shape.tokens}", done, len(shapes))
            speeds.append(_speed(subjects, shape, config.rounds, device))
    progress("memory", len(shapes), len(shapes))
    largest = max(shapes, key=lambda shape: shape.batch_size * shape.tokens)
    return BenchmarkResult(
        sizes=tuple(_size(subject, largest, config.threads, device) for subject in subjects),
        speeds=tuple(speeds),
        rounds=config.rounds,
        threads=config.threads,
        device=device_name(device),
        clock=clock_for(device, config.threads),
        load=load,
        busy=busy,
    )


def tables(config: BenchmarkConfig, progress: Progress = silent) -> TablesResult:
    """Measure a latency table a batch shape, anew, and put it into the cache.

    Raises:
        PruneError: The checkpoint is no encoder with a table, or the file to write stands already.
    """
    device, checkpoint = find_device(config.device), _read(config.checkpoint)
    shapes = _shapes(config, [checkpoint])
    if config.out is not None:
        check_file_target(config.out, config.overwrite)
    load, busy = _load_of_others(config)
    found, files = [], []
    for done, shape in enumerate(shapes):
        progress(f"{shape.batch_size} x {shape.tokens}", done, len(shapes))
        found.append(measure(checkpoint, shape, device, config.threads, config.rounds))
        files.append(keep(found[-1]))
    progress("done", len(shapes), len(shapes))
    if config.out is not None:
        found[0].write(config.out)
    return TablesResult(tuple(found), tuple(files), load, busy)


def _shapes(config: BenchmarkConfig, checkpoints: list[Checkpoint]) -> list[Shape]:
    """Return the batch shapes that are asked for.

    Raises:
        InputError: A checkpoint takes no sequences of such a length.
    """
    longest = min(map(positions_of, checkpoints))
    lengths = config.lengths or (min(USUAL_LENGTH, longest),)
    if max(lengths) > longest:
        raise InputError(
            f"--lengths {max(lengths)}: {' and '.join(str(checkpoint.path) for checkpoint in checkpoints)} can take "
            f"{longest} tokens at most",
            "ask for shorter sequences",
        )
    return [Shape(batch, tokens) for tokens, batch in product(lengths, config.batch_sizes)]


def _load_of_others(config: BenchmarkConfig) -> tuple[float | None, bool]:
    load = load_average()
    busy = is_busy(load, config.threads)
    if busy:
        log.warning("the load average is %.1f: others use this machine, so times are less certain", load)
    return load, busy


def _read(name: str) -> Checkpoint:
    return read_checkpoint(model_of(find_model(name, "")))


def _subject(checkpoint: Checkpoint, device: torch.device) -> _Subject:
    encoder, loaded = encoder_of(checkpoint), load_model(checkpoint)
    loaded.model.to(device)  # type: ignore[arg-type]
    return _Subject(checkpoint, encoder, already_cut(checkpoint, encoder), loaded)


def _speed(subjects: list[_Subject], shape: Shape, rounds: int, device: torch.device) -> Speed:
    """Let the checkpoints take turns on batches of one shape."""
    models = [subject.loaded.model for subject in subjects]
    inputs = [
        random_batch(subject.loaded.model, subject.loaded.head, shape.batch_size, shape.tokens)
        for subject in subjects
    ]
    candidates = [partial(model, **given) for model, given in zip(models, inputs, strict=True)]
    times = take_turns(candidates, rounds, device)
    ms = tuple(Spread.of(row) for row in times)
    flops = tuple(encoder_flops(subject.encoder, subject.cut, shape.tokens) for subject in subjects)
    ratios = [first / second for first, second in zip(*times, strict=True)] if len(times) == 2 else []
    return Speed(
        batch_size=shape.batch_size,
        tokens=shape.tokens,
        ms=ms,
        sequences_per_second=tuple(1000 * shape.batch_size / spread.median for spread in ms),
        flops=flops,
        speedup=Spread.of(ratios) if ratios else None,
        flops_ratio=flops[0] / flops[1] if len(flops) == 2 else None,
    )


def _size(subject: _Subject, shape: Shape, count: int, device: torch.device) -> Size:
    path = subject.checkpoint.path
    return Size(
        checkpoint=path,
        parameters=sum(parameter.numel() for parameter in subject.loaded.model.parameters()),
        bytes=sum(file.stat().st_size for file in subject.checkpoint.weight_files),
        peak_memory=peak_memory(path, shape.batch_size, shape.tokens, count, device.type),
    )
