"""A folder whose modeling file is ours, but whose config sends transformers elsewhere, is not trusted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import prunecli
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.errors import InputError
from prunecli.models.shipped import is_ours
from tests import tiny


def check_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="carries Python that prunecli did not write") as raised:
        prunecli.verify_automodel(folder)
    assert "--trust-remote-code" in str(raised.value.fix)


def test_a_foreign_auto_map_runs_nothing(tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = tiny_checkpoint("bert")
    cut = tiny.cut(source, tiny.random_masks(tiny.sizes(source), ("head",), seed=0), tmp_path / "cut")
    ran = tmp_path / "ran"
    (cut / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nfrom modeling_pruned import *\n")
    config = json.loads((cut / "config.json").read_text())
    auto = "AutoModelForSequenceClassification"
    config["auto_map"][auto] = config["auto_map"][auto].replace("modeling_pruned", "evil")
    (cut / "config.json").write_text(json.dumps(config))
    check_refused(cut)
    assert not ran.exists()


def test_an_encoders_own_python_inside_our_class_runs_nothing(tmp_path: Path) -> None:
    folder, ran = tiny.save_tiny(tmp_path / "ms", "bert", head="MaskedSeqModel"), tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    config["base_model_code"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    assert not is_ours(read_checkpoint(folder))
    check_refused(folder)
    assert not ran.exists()
