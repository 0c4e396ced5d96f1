"""The verbs as functions: the same names, options, defaults and checks as on the command line.

Every function raises `prunecli.errors.PruneError` where the command would exit with 2.
"""

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from prunecli.config import (
    ApplyMasksConfig,
    ConvertConfig,
    PredictConfig,
    SelfTestConfig,
    TrainMasksConfig,
    VerifyConfig,
)

if TYPE_CHECKING:
    from prunecli.operations.apply_masks import ApplyMasksResult
    from prunecli.operations.convert import ConvertResult
    from prunecli.operations.self_test import SelfTestResult
    from prunecli.operations.verify_automodel import VerifyResult
    from prunecli.training.outcome import TrainMasksPlan, TrainMasksResult

Folder = str | PathLike[str]


def train_masks(model: Folder, task: str, **options: Any) -> "TrainMasksResult | TrainMasksPlan":
    """Learn masks, or plan it with `dry_run`; `options` are the fields of `TrainMasksConfig`."""
    from prunecli.operations import train_masks as operation

    config = TrainMasksConfig.of({"model": str(model), "task": task, **options})
    return (
        operation.plan(config) if config.dry_run else operation.run(config, lambda label, done, total: None)
    )


def apply_masks(source: Folder, **options: Any) -> "ApplyMasksResult":
    """Cut the masked units out; `options` are the fields of `ApplyMasksConfig`."""
    from prunecli.operations import apply_masks as operation

    return operation.run(ApplyMasksConfig.of({"source": str(source), **options}))


def verify_automodel(checkpoint: Folder, **options: Any) -> "VerifyResult":
    """Prove that a folder loads and equals its reference; `options` are the fields of `VerifyConfig`."""
    from prunecli.operations import verify_automodel as operation

    return operation.run(VerifyConfig.of({"checkpoint": str(checkpoint), **options}))


def predict(
    checkpoint: Folder, records: Iterable[Mapping[str, Any]], **options: Any
) -> Iterator[dict[str, Any]]:
    """Yield each record with `label` and `score`, in order; `options` are the fields of `PredictConfig`."""
    from prunecli.operations import predict as operation

    return operation.run(PredictConfig.of({"checkpoint": str(checkpoint), **options}), records)


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
