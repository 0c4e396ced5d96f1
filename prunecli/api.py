"""The verbs as functions: the same names, options, defaults and checks as on the command line.

Every function raises `prunecli.errors.PruneError` where the command would exit with 2.
"""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from prunecli.config import (
    ApplyMasksConfig,
    BenchmarkConfig,
    CompareConfig,
    ConvertConfig,
    EvaluateConfig,
    PredictConfig,
    SelfTestConfig,
    TrainMasksConfig,
    VerifyConfig,
)

if TYPE_CHECKING:
    from prunecli.operations.apply_masks import ApplyMasksResult
    from prunecli.operations.benchmark import BenchmarkResult, TablesResult
    from prunecli.operations.compare import CompareResult
    from prunecli.operations.convert import ConvertResult
    from prunecli.operations.evaluate import EvaluateResult
    from prunecli.operations.predictions import Predictions
    from prunecli.operations.self_test import SelfTestResult
    from prunecli.operations.verify_automodel import VerifyResult
    from prunecli.training.outcome import TrainMasksPlan, TrainMasksResult

Folder = str | PathLike[str]


def train_masks(
    model: Folder, task: str, **options: Any
) -> "TrainMasksResult | TrainMasksPlan | CompareResult":
    """Learn masks, plan it with `dry_run`, or do it for several targets with `sweep`.

    `options` are the fields of `TrainMasksConfig`.
    """
    from prunecli.operations import compare as several
    from prunecli.operations import train_masks as operation

    config = TrainMasksConfig.of({"model": str(model), "task": task, **options})
    if config.dry_run:
        return operation.plan(config)
    run = several.sweep if config.sweep else operation.run
    return run(config)


def compare(model: Folder, task: str, **options: Any) -> "CompareResult":
    """Try methods at several targets; `options` are the fields of `CompareConfig`."""
    from prunecli.operations import compare as operation

    config = CompareConfig.of({"model": str(model), "task": task, **options})
    return operation.run(config)


def apply_masks(source: Folder, **options: Any) -> "ApplyMasksResult":
    """Cut the masked units out; `options` are the fields of `ApplyMasksConfig`."""
    from prunecli.operations import apply_masks as operation

    return operation.run(ApplyMasksConfig.of({"source": str(source), **options}))


def verify_automodel(checkpoint: Folder, **options: Any) -> "VerifyResult":
    """Prove that a folder loads and equals its reference; `options` are the fields of `VerifyConfig`."""
    from prunecli.operations import verify_automodel as operation

    return operation.run(VerifyConfig.of({"checkpoint": str(checkpoint), **options}))


def predict(checkpoint: Folder, records: Iterable[Mapping[str, Any] | str], **options: Any) -> "Predictions":
    """Yield each record with what is predicted of it, in order; `options` are the fields of `PredictConfig`.

    A string is a record with the field `text`.
    """
    from prunecli.operations import predict as operation

    return operation.run(PredictConfig.of({"checkpoint": str(checkpoint), **options}), records)


def evaluate(checkpoint: Folder, task: str, **options: Any) -> "EvaluateResult":
    """Score a checkpoint on a task; `options` are the fields of `EvaluateConfig`."""
    from prunecli.operations import evaluate as operation

    config = EvaluateConfig.of({"checkpoint": str(checkpoint), "task": task, **options})
    return operation.run(config)


def benchmark(
    checkpoint: Folder, other: Folder | None = None, **options: Any
) -> "BenchmarkResult | TablesResult":
    """Measure one checkpoint or two, or tables with `table`; `options` are the fields of `BenchmarkConfig`."""
    from prunecli.operations import benchmark as operation

    named = {"checkpoint": str(checkpoint), "other": None if other is None else str(other)}
    config = BenchmarkConfig.of({**named, **options})
    return (operation.tables if config.table else operation.run)(config)


def convert(source: Folder, out: Folder | None = None, **options: Any) -> "ConvertResult":
    """Make a folder that everyone can load of a checkpoint; `options` are the fields of `ConvertConfig`.

    `written` of the result says whether the folder was proven equal to its source; `from` is spelled `from_`.
    """
    from prunecli.operations import convert as operation

    return operation.run(ConvertConfig.of({"source": str(source), "out": out and str(out), **options}))


def self_test(**options: Any) -> "SelfTestResult":
    """Run the whole story on the bundled model; `options` are the fields of `SelfTestConfig`."""
    from prunecli.operations import self_test as operation

    return operation.run(SelfTestConfig.of(options))
