"""The folder that `train-masks` leaves: masks, the co-trained dense checkpoint, the record.

masks.safetensors, head_mask.pt ...   what stays
model/                                the checkpoint that was trained along, all units still in it
run.json, report.html                 what was asked, done and found
"""

import math
from pathlib import Path
from typing import Any

from prunecli.checkpoints import strict_json
from prunecli.errors import InputError

MODEL = "model"
RECORD = "run.json"
REPORT = "report.html"
NEEDED = {"model", "task", "metric", "dense", "masked", "tokens"}  # what others read of a result


def is_run(path: Path) -> bool:
    """Say whether a folder is a finished run."""
    return (path / RECORD).is_file() and (path / MODEL).is_dir()


def model_of(path: Path) -> Path:
    """Return the checkpoint of a run folder, or the path itself where it is none."""
    return path / MODEL if is_run(path) else path


def read_record(path: Path) -> dict[str, Any]:
    """Return what `run.json` of a run folder holds.

    Raises:
        InputError: It is not what train-masks writes.
    """
    record = strict_json.read_object(path / RECORD)
    result = record.get("result")
    if not isinstance(result, dict) or not result.keys() >= NEEDED:
        raise InputError(f"{path / RECORD} is not what train-masks writes", "run train-masks again")
    return record


def read_result(path: Path) -> dict[str, Any]:
    """Return what a run found, as `run.json` has it; metrics that are no numbers, null there, as NaN."""
    result: dict[str, Any] = read_record(path)["result"]
    for name in ("dense", "masked", "unrecovered"):
        metrics = result.get(name) or {}
        metrics |= {metric: math.nan for metric, value in metrics.items() if value is None}
    return result
