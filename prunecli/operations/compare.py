"""`compare`: methods at every target, on one page; and `train-masks --sweep`, which is one method at every target."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from prunecli import methods
from prunecli.checkpoints.atomic import check_target, staged_folder
from prunecli.checkpoints.strict_json import write_json
from prunecli.config import CompareConfig, TrainMasksConfig
from prunecli.config.compare import ALL, UNTRAINED
from prunecli.errors import InputError
from prunecli.inference.peak_memory import resident_peak
from prunecli.masks.budget import encoder_flops
from prunecli.masks.mask_set import MaskSet
from prunecli.methods.base import GateMethod, Method, ScoreMethod
from prunecli.operations.train_masks import fill_run, read_inputs, teacher_of
from prunecli.progress import Progress, silent
from prunecli.reports import compare_page, run_record
from prunecli.training.arguments import check_options
from prunecli.training.calibration_rows import check_rows
from prunecli.training.outcome import outcome
from prunecli.training.session import Session, open_session
from prunecli.training.target import Target, target_of
from prunecli.training.trials import Trial, Trials

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
        seconds: Mean time from the dense model to this one: scoring, choosing and refitting, or training, and recovery.
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
        recovery: Epochs of training after the cut.
        seeds: Seeds: draws of these rows, and of what training draws.
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
    recovery: int
    seeds: int
    points: list[Point]
    peak_bytes: int


def run(config: CompareConfig, progress: Progress = silent) -> CompareResult:
    """Compare methods and write the page.

    Args:
        config: What to do.
        progress: Called with a label, steps done and steps in all, of one method at a time.

    Raises:
        PruneError: The model, data or output folder cannot be used; nothing was written.
    """
    chosen, asked = _methods(config), config.training()
    for name, method in chosen.items():
        check_options(replace(asked, method=name), method)
    session, target = _session(asked, chosen, progress)
    dense = session.evaluate(session.loaded.model)
    with staged_folder(config.out_folder, config.overwrite) as folder:
        trials = Trials(session, target, _teacher(session, chosen))
        found = [
            trial
            for draw in range(config.seeds)
            for name, method in chosen.items()
            for trial, _ in trials.of(name, method, draw)
        ]
        result = _result(session, found, dense, config.seeds)
        _write(folder, config, result)
    return result


def sweep(config: TrainMasksConfig, progress: Progress = silent) -> CompareResult:
    """Write a run folder for each of several targets, and the page that compares them.

    Raises:
        PruneError: The model, data or output folder cannot be used; nothing was written.
    """
    method = methods.get(config.method_name)
    check_options(config, method)
    chosen = {config.method_name: method}
    session, target = _session(config, chosen, progress)
    dense = session.evaluate(session.loaded.model)
    found = []
    with staged_folder(config.out_folder, config.overwrite) as folder:
        trials = Trials(session, target, _teacher(session, chosen))
        for trial, alone in trials.of(config.method_name, method):
            result = outcome(alone, trial.learned, replace(target, share=trial.share), dense)
            run_folder = folder / result.out.name
            run_folder.mkdir()
            fill_run(alone, run_folder, trial.learned.masks, result)
            found.append(trial)
        page = _result(session, found, dense, 1)
        _write(folder, config, page)
    return page


def _teacher(session: Session, chosen: Mapping[str, Method]) -> nn.Module | None:
    """Return what is learned from besides the labels, where one of the methods trains."""
    trains = any(isinstance(method, GateMethod) for method in chosen.values())
    return teacher_of(session) if trains or session.config.recovery else None


def _session(
    config: TrainMasksConfig, chosen: Mapping[str, Method], progress: Progress
) -> tuple[Session, Target]:
    check_target(config.out_folder, config.overwrite)
    checkpoint, data = read_inputs(config, chosen.values())
    session = open_session(config, checkpoint, data, progress)
    check_rows(session, chosen.values())
    if session.arguments.world_size > 1:
        raise InputError("--sweep and compare run in one process", "run it without torchrun")
    target = target_of(session)
    assert target is not None  # there are several
    return session, target


def _methods(config: CompareConfig) -> dict[str, Method]:
    """Return the methods to compare."""
    every = {name: methods.get(name) for name in methods.names()}
    untrained = [name for name, method in every.items() if isinstance(method, ScoreMethod)]
    several = {ALL: list(every), UNTRAINED: untrained}
    chosen = [name for word in config.method_names for name in several.get(word, [word])]
    for name in chosen:
        methods.check(name, "--methods")
    return {name: every[name] for name in dict.fromkeys(chosen)}


def _result(session: Session, trials: list[Trial], dense: dict[str, float], seeds: int) -> CompareResult:
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
        recovery=config.recovery,
        seeds=seeds,
        points=[
            _point(trials, session.task.metrics[0], name, share) for name in names for share in config.shares
        ],
        peak_bytes=resident_peak(),
    )


def _write(folder: Path, config: CompareConfig | TrainMasksConfig, result: CompareResult) -> None:
    record = run_record.record(config, result)
    write_json(folder / TABLE, record)
    (folder / PAGE).write_text(compare_page.render(record), encoding="utf-8")


def _point(trials: list[Trial], metric: str, method: str, share: float) -> Point:
    mine = [trial for trial in trials if (trial.method, trial.share) == (method, share)]
    values = [trial.learned.masked[metric] for trial in mine]
    refits = [trial.learned.refit[1] for trial in mine if trial.learned.refit is not None]
    kept = mine[0].learned.masks.counts
    return Point(
        method=method,
        asked=share,
        reached=max(trial.reached for trial in mine),
        values=values,
        mean=statistics.fmean(values),
        spread=statistics.stdev(values) if len(values) > 1 else 0.0,
        divergence=statistics.fmean(refits) if refits else None,
        heads=kept.get("head", []),
        neurons=kept.get("ffn_int", []),
        seconds=statistics.fmean(trial.learned.seconds + trial.learned.recovery_seconds for trial in mine),
    )
