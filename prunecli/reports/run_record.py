"""The record of a run: what was asked, on what, with which versions, and what came out."""

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from prunecli import __version__
from prunecli.fields import VerbConfig, plain

SCHEMA_VERSION = 1
PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "accelerate",
    "datasets",
    "huggingface_hub",
    "numpy",
)


def versions() -> dict[str, str]:
    """Return the versions of everything that can change a result."""
    found = {"prunecli": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def record(config: VerbConfig, result: Any) -> dict[str, Any]:
    """Return what `run.json` and `prunecli.json` hold."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verb": config.verb,
        "command": config.command,
        "config": plain(asdict(config)),
        "versions": versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "result": plain(asdict(result)),
    }
