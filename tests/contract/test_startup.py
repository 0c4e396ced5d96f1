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
    "train-masks demo demo --method gumble": 2,
    "train-masks demo demo --method one-shot": 2,
    "train-masks demo demo --method taylor --target-flops 0.5 --learn-masks layer": 2,
    "train-masks demo demo --max-drop 0.1 --method hard-concrete": 2,
    "compare demo demo --methods one-shot,nothing": 2,
    "compare demo demo --targets half": 2,
    "evaluate demo": 2,
    "benchmark demo --rounds 1": 2,
    "benchmark demo demo --table": 2,
    "benchmark demo --out table.json": 2,
    "benchmark demo --table --out table.json --lengths 8 --lengths 16": 2,
    "convert demo": 2,
    "convert demo out --to onnx --dtype float16": 2,
    "predict demo --fields a,b,c": 2,
    "predict demo --out scored.csv": 2,
    "verify-automodel demo --masks masks.safetensors": 2,
    "train-masks dmeo demo": 2,
    "compare dmeo demo": 2,
    "evaluate dmeo demo": 2,
    "benchmark demo dmeo": 2,
    "convert dmeo out": 2,
    "predict dmeo": 2,
    "predict demo no-such-file.jsonl": 2,
    "verify-automodel demo --against dmeo": 2,
    "self-test --report": 0,
    "apply-masks run --dry-run": 0,
    "apply-masks run/model --masks run/masks.safetensors --dry-run --json": 0,
    "apply-masks run/model --masks run/masks.safetensors --out written --overwrite -q": 0,
}

PROBE = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from prunecli.cli.app import main

found = {}
for command in json.loads(sys.argv[1]):
    sys.argv = ["prunecli", *command.split()]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            code = main()
        except SystemExit as exit:
            code = int(exit.code or 0)
    found[command] = code, sorted(set(sys.modules) & set(HEAVY))
print(json.dumps(found))
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


def test_no_heavy_library_is_imported(folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PRUNECLI_")}
    done = subprocess.run(
        [sys.executable, "-c", f"HEAVY = {HEAVY!r}\n{PROBE}", json.dumps(list(COMMANDS))],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {command: [code, []] for command, code in COMMANDS.items()}


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = "import sys, prunecli; print(*sorted(name for name in sys.modules if name.startswith('prunecli')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["prunecli"]
