"""Models of several positions on tiny encoders, their inputs, and a child that has no prunecli."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from prunecli import AutoModelForMaskedSeqModeling
from tests import tiny
from tests.warm_child import run_code

FAMILIES = ("bert", "roberta", "deberta-v2", "xlm-roberta", "modernbert", "electra", "distilbert", "mpnet")
INDICES_BM = torch.tensor([[1, 4, 8], [0, 5, 2]])  # the second row has six tokens
NAMES = {0: "person", 1: "place", 2: "date"}

Save = Callable[..., Path]


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    """Say nothing of the heads that encoders are loaded without."""
    transformers.utils.logging.set_verbosity_error()


@pytest.fixture
def model(tiny_checkpoint: Save) -> Any:
    """Return a multilabel model of three labels on a tiny BERT."""
    return AutoModelForMaskedSeqModeling.from_pretrained(tiny_checkpoint("bert", "Model"), num_labels=3)


@pytest.fixture
def classes(tiny_checkpoint: Save) -> Any:
    """Return a multiclass model of three labels on a tiny BERT."""
    source = tiny_checkpoint("bert", "Model")
    return AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=3, task="multiclass")


def inputs(model: Any) -> dict[str, Any]:
    """Return two rows, the second padded, and three positions in each."""
    return {**tiny.tiny_inputs(model), "mask_indices": INDICES_BM}


CHILD = """
import json
from safetensors.torch import load_file, save_file
from transformers import AutoModel
for folder in json.loads(sys.argv[1]):
    model = AutoModel.from_pretrained(folder, trust_remote_code=True, local_files_only=True).eval()
    assert type(model).__module__.startswith("transformers_modules."), type(model)
    save_file({"logits": model(**load_file(f"{folder}/inputs.st")).logits.detach()}, f"{folder}/outputs.st")
    model.save_pretrained(f"{folder}/again")
"""


def run_child(folders: list[str], tmp_path: Path) -> None:
    """Load folders as anyone would, where there is no prunecli; write outputs and save again."""
    run_code(CHILD, json.dumps(folders), tmp_path)
