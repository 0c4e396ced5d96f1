"""A folder whose modeling file is ours, but whose config sends transformers elsewhere, is not trusted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.models.shipped import is_ours
from tests import tiny


def is_refused(folder: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "prunecli", "verify-automodel", str(folder)],
        capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False,
    )  # fmt: skip
    return done.returncode == 2 and "--trust-remote-code" in done.stderr


def test_a_foreign_auto_map_runs_nothing(tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = tiny_checkpoint("bert")
    cut = tiny.cut(source, tiny.random_masks(tiny.sizes(source), ("head",), seed=0), tmp_path / "cut")
    ran = tmp_path / "ran"
    (cut / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nfrom modeling_pruned import *\n")
    config = json.loads((cut / "config.json").read_text())
    auto = "AutoModelForSequenceClassification"
    config["auto_map"][auto] = config["auto_map"][auto].replace("modeling_pruned", "evil")
    (cut / "config.json").write_text(json.dumps(config))
    assert is_refused(cut) and not ran.exists()


def test_an_encoders_own_python_inside_our_class_runs_nothing(tmp_path: Path) -> None:
    folder, ran = tiny.save_tiny(tmp_path / "ms", "bert", head="MaskedSeqModel"), tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    config["base_model_code"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    assert not is_ours(read_checkpoint(folder))
    assert is_refused(folder) and not ran.exists()
