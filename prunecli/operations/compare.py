"""`compare`: every method without training, at every target, on one page."""

import json
import logging
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from prunecli import methods
from prunecli.checkpoints.atomic import check_source, check_target, staged_folder
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.source import find_model
from prunecli.config import CompareConfig
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.masks.budget import encoder_flops
from prunecli.masks.mask_set import MaskSet
from prunecli.methods.base import ScoreMethod
from prunecli.reports import compare_page, run_record
from prunecli.tasks import load_task
from prunecli.training.arguments import check_options
from prunecli.training.callbacks import Progress
from prunecli.training.head import fit_labels
from prunecli.training.scoring import Pruner
from prunecli.training.session import Session, open_session
from prunecli.training.target import target_of

log = logging.getLogger(__name__)

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
        score_seconds: Mean time of scoring, which serves all targets.
        refit_seconds: Mean time of choosing and refitting.
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
    score_seconds: float
    refit_seconds: float


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
    asked: float
    reached: float
    value: float
    refit: tuple[float, float] | None
    kept: dict[str, list[int]]
    score_seconds: float
    refit_seconds: float


def run(config: CompareConfig, progress: Progress) -> CompareResult:
    """Compare methods and write the page.

    Args:
        config: What to do.
        progress: Called with a label, trials done and trials in all.

    Raises:
        PruneError: The model, data or output folder cannot be used; nothing was written.
    """
    check_target(config.out_folder, config.overwrite)
    chosen = _methods(config)
    session = _session(config, progress)
    metric = session.task.metrics[0]
    dense = session.evaluate(session.loaded.model)[metric]
    trials = list(_trials(config, session, chosen))
    result = CompareResult(
        out=str(config.out_folder),
        model=config.model,
        task=session.task.name,
        metric=metric,
        dense=dense,
        tokens=session.features.mean_length,
        flops=encoder_flops(session.loaded.encoder, MaskSet({}), session.features.mean_length),
        rows=session.config.scored_rows,
        seeds=config.seeds,
        points=[
            _point(trials, name, share) for name in chosen for share in sorted(config.targets, reverse=True)
        ],
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    record = run_record.record(config, result)
    with staged_folder(config.out_folder, config.overwrite) as folder:
        (folder / TABLE).write_text(json.dumps(record, indent=2), encoding="utf-8")
        (folder / PAGE).write_text(compare_page.render(record), encoding="utf-8")
    return result


def _methods(config: CompareConfig) -> dict[str, ScoreMethod]:
    """Return the methods to compare."""
    every = {name: method for name in methods.names() if isinstance(method := methods.get(name), ScoreMethod)}
    if not config.methods or "all" in config.methods:
        return every
    trained = [name for name in config.methods if methods.get(name) and name not in every]
    if trained:
        raise InputError(
            f"--methods {trained[0]} trains, which compare does not",
            f"methods without training: {', '.join(every)}",
        )
    return {name: every[name] for name in config.methods}


def _session(config: CompareConfig, progress: Progress) -> Session:
    training = config.training()
    check_options(training, methods.get(training.method_name))
    checkpoint = read_checkpoint(find_model(config.model, config.task))
    check_source(config.out_folder, checkpoint.path)
    data = load_task(
        config.task, config.data_dir, config.text_columns, config.label_column, None, 0, config.task_kind
    )
    session = open_session(training, checkpoint, fit_labels(data, checkpoint), progress)
    if session.loaded.new:
        raise UnsupportedModelError(
            f"{config.model} has no head for task {data.task.name}: its predictions say nothing",
            "take a checkpoint that was fine-tuned on the task",
        )
    return session


def _trials(config: CompareConfig, session: Session, chosen: dict[str, ScoreMethod]) -> Iterator[_Trial]:
    """Score once a method and seed, then try every target with these scores."""
    total, done = config.seeds * len(chosen) * len(config.targets), 0
    target = target_of(session.config, session.loaded.encoder, session.features.mean_length)
    assert target is not None
    pruner = Pruner(session)
    for seed in range(config.seeds):
        pruner.draw(replace(session, config=replace(session.config, seed=seed)))
        for name, method in chosen.items():
            pruner.restore()
            started = time.perf_counter()
            scores = pruner.score(method)
            score_seconds = time.perf_counter() - started
            for share in config.targets:
                session.progress(f"{name} at {share:g}", done, total)
                pruner.restore()
                started = time.perf_counter()
                refit = pruner.cut_to(scores, target, share)
                refit_seconds = time.perf_counter() - started
                value = session.evaluate(session.loaded.model)[session.task.metrics[0]]
                masks = pruner.mask_set(scores).masks
                kept = {group: [int(row.sum()) for row in mask] for group, mask in masks.items()}
                reached = target.prices.of(kept) / target.prices.dense
                yield _Trial(name, share, reached, value, refit, kept, score_seconds, refit_seconds)
                done += 1


def _point(trials: list[_Trial], method: str, share: float) -> Point:
    mine = [trial for trial in trials if (trial.method, trial.asked) == (method, share)]
    values = [trial.value for trial in mine]
    refits = [trial.refit[1] for trial in mine if trial.refit is not None]
    return Point(
        method=method,
        asked=share,
        reached=max(trial.reached for trial in mine),
        values=values,
        mean=statistics.fmean(values),
        spread=statistics.stdev(values) if len(values) > 1 else 0.0,
        divergence=statistics.fmean(refits) if refits else None,
        heads=mine[0].kept["head"],
        neurons=mine[0].kept["ffn_int"],
        score_seconds=statistics.fmean(trial.score_seconds for trial in mine),
        refit_seconds=statistics.fmean(trial.refit_seconds for trial in mine),
    )
