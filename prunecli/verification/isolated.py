"""Starts the child that loads a folder with nothing of prunecli in reach, offline, without input or secrets."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.safetensors_file import read_header
from prunecli.encoders import module_names
from prunecli.errors import PruneError

CHILD = Path(__file__).with_name("child.py")
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS", "SYSTEMROOT", "TMPDIR", "TEMP")
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the child reports.

    Attributes:
        facts: What it measured, as far as it came.
        stage: `done`, or what failed.
        error: Why.
        outputs: File with the model's outputs on the probes; there only after the forward stage.
    """

    facts: dict[str, Any]
    stage: str
    error: str | None
    outputs: Path


def request_for(checkpoint: Checkpoint, auto_class: str, probes: Path) -> dict[str, Any]:
    """Return what the child shall do with a folder: load it with an auto class and run it on the probes."""
    return {
        "checkpoint": str(checkpoint.path.resolve()),
        "weight_files": [str(path.resolve()) for path in checkpoint.weight_files],
        "module_names": {
            name: module_names(checkpoint.config["model_type"], name)
            for path in checkpoint.weight_files
            for name in read_header(path)
        },
        "auto_class": auto_class,
        "trust": "auto_map" in checkpoint.config,
        "probes": str(probes),
        "pad_token_id": checkpoint.config.get("pad_token_id") or 0,
    }


def ask_child(request: Mapping[str, Any], folder: Path, timeout: int) -> Answer:
    """Run the child on a request.

    Args:
        request: See `child.py`.
        folder: An empty folder for request, answer, caches and home.
        timeout: Seconds after which the child is killed.

    Raises:
        PruneError: The child gave no answer.
    """
    file = folder / "request.json"
    file.write_text(json.dumps(dict(request)), encoding="utf-8")
    caches = {name: str(folder / "home") for name in ("HOME", "USERPROFILE", "HF_HOME", "HF_MODULES_CACHE")}
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | OFFLINE | caches
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(CHILD), str(file)],
            env=environment, cwd=folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PruneError(f"the verification child did not finish in {timeout} s", "raise --timeout") from None
    if not (folder / "answer.json").is_file():
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise PruneError(f"the verification child died with status {done.returncode}: {last}")
    answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    return Answer(answer["facts"], answer["stage"], answer.get("error"), folder / "outputs.safetensors")
