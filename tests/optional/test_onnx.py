"""A pruned folder exported to ONNX gives the same outputs for other batch sizes and lengths, as the guide does it.

Runs where `pip install onnx onnxscript onnxruntime` was done.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from prunecli.masks.units import GROUPS
from tests import tiny
from tests.contract.test_docs import DOCS, blocks

for module in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(module)

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter's own
SHAPES = ((1, 4), (3, 17), (5, 40))  # other than those of the export


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow_the_guide(model_type: str, here: Path) -> dict[str, Any]:
    """Cut units of all groups, down to empty layers, and run the guide's lines on the folder."""
    source = tiny.save_tiny(here / "source", model_type)
    masks = tiny.random_masks(tiny.sizes(source), GROUPS, seed=0, real=True, empty=True)
    tiny.cut(source, masks, here / "pruned")
    names: dict[str, Any] = {}
    for block in blocks(DOCS / "guides" / "onnx.md", "python"):
        exec(block, names)
    return names


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_the_guide_gives_the_outputs_of_torch(model_type: str, here: Path) -> None:
    names = follow_the_guide(model_type, here)
    with torch.no_grad():
        batch = {name: torch.from_numpy(value) for name, value in names["batch"].items()}
        wanted = names["model"](**batch).logits.numpy()
    assert np.abs(names["logits"] - wanted).max() < 1e-5
    model = AutoModelForSequenceClassification.from_pretrained(here / "pruned", trust_remote_code=True)
    for examples, tokens in SHAPES:
        inputs = tiny.tiny_inputs(model, examples, tokens)
        fed = {name: torch.zeros_like(inputs["input_ids"]) for name in names["inputs"]} | inputs
        (found,) = names["session"].run(["logits"], {name: value.numpy() for name, value in fed.items()})
        with torch.no_grad():
            wanted = model.eval()(**fed).logits.numpy()
        assert np.abs(found - wanted).max() < 1e-5
