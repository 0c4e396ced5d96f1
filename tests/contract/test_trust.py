"""A folder whose modeling file is ours, but whose config sends transformers elsewhere, is not trusted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests import tiny


def test_a_foreign_auto_map_runs_nothing(tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = tiny_checkpoint("bert")
    cut = tiny.cut(source, tiny.random_masks(tiny.sizes(source), ("head",), seed=0), tmp_path / "cut")
    ran = tmp_path / "ran"
    (cut / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nfrom modeling_pruned import *\n")
    config = json.loads((cut / "config.json").read_text())
    auto = "AutoModelForSequenceClassification"
    config["auto_map"][auto] = config["auto_map"][auto].replace("modeling_pruned", "evil")
    (cut / "config.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "prunecli", "verify-automodel", str(cut)],
        capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "--trust-remote-code" in done.stderr
    assert not ran.exists()
