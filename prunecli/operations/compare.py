"""`compare`: every method without training, at every target, on one page."""

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from prunecli import methods
from prunecli.checkpoints.atomic import check_target, staged_folder
from prunecli.config import CompareConfig, TrainMasksConfig
from prunecli.config.contradictions import check_without_training
from prunecli.errors import InputError
from prunecli.inference.peak_memory import resident_peak
from prunecli.masks.budget import encoder_flops
from prunecli.masks.mask_set import MaskSet
from prunecli.methods.base import ScoreMethod
from prunecli.operations.train_masks import fill_run, read_inputs
from prunecli.reports import compare_page, run_record
from prunecli.training.arguments import check_options
from prunecli.training.callbacks import Progress
from prunecli.training.outcome import outcome
from prunecli.training.scoring import Pruner, Stop
from prunecli.training.session import Learned, Session, open_session
from prunecli.training.target import target_of

PAGE, TABLE = "compare.html", "compare.json"


@dataclass(frozen=True, slots=True)
class Point:
    """One method at one target, over all seeds.

    Attributes:
        method: The method.
        asked: Share of the encoder's FLOPs that was asked for.
        reached: The share that was kept, at most.
        values: The headline metric of each seed.
        mean: Their mean.
        spread: Their standard deviation; 0 for one seed.
        divergence: Mean divergence from the dense model on held-out examples; None without a refit.
        heads: Heads that are left, by layer, for the first seed.
        neurons: Neurons that are left, by layer, for the first seed.
        seconds: Mean time from the dense model to this one: scoring, choosing and refitting.
    """

    method: str
    asked: float
    reached: float
    values: list[float]
    mean: float
    spread: float
    divergence: float | None
    heads: list[int]
    neurons: list[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class CompareResult:
    """All points, and what they are compared with.

    Attributes:
        out: The folder with the page.
        model: The checkpoint.
        task: The task.
        metric: The headline metric, on validation rows.
        dense: Its value for the dense model.
        tokens: Length at which FLOPs are counted.
        flops: Encoder FLOPs of the dense model for one example of that length.
        rows: Calibration rows.
        seeds: Draws of them.
        points: Methods in the order asked, targets falling.
        peak_bytes: The process's largest resident memory.
    """

    out: str
    model: str
    task: str
    metric: str
    dense: float
    tokens: int
    flops: int
    rows: int
    seeds: int
    points: list[Point]
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class _Trial:
    """One method at one target with one seed."""

    method: str
    stop: Stop
    reached: float
    value: float
    kept: dict[str, list[int]]


def run(config: CompareConfig, progress: Progress) -> CompareResult:
    """Compare methods and write the page.

    Args:
        config: What to do.
        progress: Called with a label, trials done and trials in all.

    Raises:
        PruneError: The model, data or output folder cannot be used; nothing was written.
    """
    chosen, training = _methods(config), config.training()
    check_options(training, next(iter(chosen.values())))
    session = _session(training, progress)
    dense = session.evaluate(session.loaded.model)
    with staged_folder(config.out_folder, config.overwrite) as folder:
        trials = [trial for trial, _ in _trials(session, chosen, config.seeds)]
        result = _result(session, trials, dense, config.seeds)
        _write(folder, config, result)
    return result


def sweep(config: TrainMasksConfig, progress: Progress) -> CompareResult:
    """Write a run folder for each of several targets, from one descent, and the page that compares them.

    Raises:
        PruneError: The model, data or output folder cannot be used; nothing was written.
    """
    method = methods.get(config.method_name)
    check_options(config, method)
    assert isinstance(method, ScoreMethod)
    session = _session(config, progress)
    target = target_of(session)
    assert target is not None
    dense = session.evaluate(session.loaded.model)
    trials = []
    with staged_folder(config.out_folder, config.overwrite) as folder:
        for trial, learned in _trials(session, {config.method_name: method}, 1):
            out = config.out_folder / f"{trial.stop.share:g}"
            asked = replace(
                config,
                sweep=None,
                target_flops=trial.stop.share,
                out=out,
                method=config.method_name,
            )
            alone = replace(session, config=asked)
            found = outcome(alone, learned, replace(target, share=trial.stop.share), dense)
            (folder / out.name).mkdir()
            fill_run(alone, folder / out.name, learned.masks, found)
            trials.append(trial)
        result = _result(session, trials, dense, 1)
        _write(folder, config, result)
    return result


def _session(config: TrainMasksConfig, progress: Progress) -> Session:
    check_target(config.out_folder, config.overwrite)
    checkpoint, data = read_inputs(config)
    session = open_session(config, checkpoint, data, progress)
    if session.arguments.world_size > 1:
        raise InputError("several targets at once are a matter of one process", "run it without torchrun")
    return session


def _methods(config: CompareConfig) -> dict[str, ScoreMethod]:
    """Return the methods to compare."""
    every = {name: method for name in methods.names() if isinstance(method := methods.get(name), ScoreMethod)}
    if config.method_names == ("all",):
        return every
    for name in config.method_names:
        methods.check(name, "--methods")
    check_without_training(config.method_names, every)
    return {name: every[name] for name in config.method_names}


def _trials(session: Session, chosen: dict[str, ScoreMethod], seeds: int) -> Iterator[tuple[_Trial, Learned]]:
    """Cut the model to every target by every method, with every draw of calibration rows."""
    shares, metric = session.config.shares, session.task.metrics[0]
    target = target_of(session)
    assert target is not None
    pruner = Pruner(session)
    for seed in range(seeds):
        if seed:
            pruner.draw(replace(session, config=replace(session.config, seed=session.config.seed + seed)))
        for name, method in chosen.items():

            def progress(label: str, done: int, total: int, run: str = f"{name}, draw {seed + 1}") -> None:
                session.progress(f"{run}: {label}", done, total)

            for stop in pruner.descend(method, target, shares, progress):
                masked = session.evaluate(session.loaded.model)
                kept = {group: [int(row.sum()) for row in mask] for group, mask in stop.masks.masks.items()}
                reached = target.prices.of(kept) / target.prices.dense
                learned = Learned(stop.masks, masked, refit=stop.refit, seconds=stop.seconds)
                yield _Trial(name, stop, reached, masked[metric], kept), learned


def _result(session: Session, trials: list[_Trial], dense: dict[str, float], seeds: int) -> CompareResult:
    config, tokens = session.config, session.features.mean_length
    names = list(dict.fromkeys(trial.method for trial in trials))
    return CompareResult(
        out=str(config.out_folder),
        model=config.model,
        task=session.task.name,
        metric=session.task.metrics[0],
        dense=dense[session.task.metrics[0]],
        tokens=tokens,
        flops=encoder_flops(session.loaded.encoder, MaskSet({}), tokens),
        rows=config.calibration_rows,
        seeds=seeds,
        points=[_point(trials, name, share) for name in names for share in config.shares],
        peak_bytes=resident_peak(),
    )


def _write(folder: Path, config: CompareConfig | TrainMasksConfig, result: CompareResult) -> None:
    record = run_record.record(config, result)
    (folder / TABLE).write_text(json.dumps(record, indent=2), encoding="utf-8")
    (folder / PAGE).write_text(compare_page.render(record), encoding="utf-8")


def _point(trials: list[_Trial], method: str, share: float) -> Point:
    mine = [trial for trial in trials if (trial.method, trial.stop.share) == (method, share)]
    values = [trial.value for trial in mine]
    refits = [trial.stop.refit[1] for trial in mine if trial.stop.refit is not None]
    return Point(
        method=method,
        asked=share,
        reached=max(trial.reached for trial in mine),
        values=values,
        mean=statistics.fmean(values),
        spread=statistics.stdev(values) if len(values) > 1 else 0.0,
        divergence=statistics.fmean(refits) if refits else None,
        heads=mine[0].kept.get("head", []),
        neurons=mine[0].kept.get("ffn_int", []),
        seconds=statistics.fmean(trial.stop.seconds for trial in mine),
    )
