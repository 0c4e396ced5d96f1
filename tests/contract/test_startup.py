"""What has no need of torch does not wait for it: help, usage errors, plans of cuts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny

HEAVY = ("torch", "transformers", "datasets", "accelerate", "sklearn", "scipy", "pyarrow")

# What is asked, and the exit code that it gives.
COMMANDS = {
    "--help": 0,
    "--version": 0,
    "train-masks --help": 0,
    "train-maks": 2,
    "train-masks demo": 2,
    "train-masks demo demo --num-epochs 0": 2,
    "evaluate demo": 2,
    "benchmark demo --rounds 1": 2,
    "self-test --report": 0,
    "apply-masks run --dry-run": 0,
    "apply-masks run/model --masks run/masks.safetensors --dry-run --json": 0,
    "apply-masks run/model --masks run/masks.safetensors --out written --overwrite -q": 0,
}

PROBE = """
import sys
from prunecli.cli.app import main
try:
    main()
finally:
    print("heavy:", *sorted(set(sys.modules) & set({heavy!r})), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dense model, masks of it, and a run folder that holds both."""
    folder = tmp_path_factory.mktemp("startup")
    dense = tiny.save_tiny(folder / "run" / "model", "bert")
    masks = tiny.random_masks(tiny.sizes(dense), ("head", "ffn_int", "ffn_out", "ffn_in"), seed=0)
    tiny.cut(dense, masks, folder / "cut")
    (folder / "cut-masks" / "masks.safetensors").rename(folder / "run" / "masks.safetensors")
    (folder / "run" / "run.json").write_text(json.dumps({"result": RESULT}))
    return folder


RESULT = {"model": "m", "task": "t", "metric": "accuracy", "dense": None, "masked": {}, "tokens": 16}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_heavy_library_is_imported(command: str, folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PRUNECLI_")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(heavy=HEAVY), *command.split()],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == COMMANDS[command], done.stderr
    assert done.stderr.splitlines()[-1] == "heavy:"


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = "import sys, prunecli; print(*sorted(name for name in sys.modules if name.startswith('prunecli')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["prunecli"]
