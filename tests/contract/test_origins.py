"""What the documents promise that this project succeeds: the guide from there to here, followed word for word."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from prunecli import PruningCrossEncoder, PruningEncoder
from prunecli.models.masked_seq import AutoModelForMaskedSeqModeling
from prunecli.models.modeling_masked_seq import MaskedSeqModel
from tests.contract.test_docs import DOCS, blocks
from tests.convert.conftest import ORIGINALS, Convert, convert

__all__ = ["convert"]  # a fixture
PAGE = DOCS / "guides" / "coming-from-pruning-encoder.md"
NAME = "reranking-pruning-bert"
# Every call that the documents show, by the class that has it here.
PROMISED: dict[type, tuple[str, ...]] = {
    PruningEncoder: (
        "from_pretrained", "forward", "predict", "predict_with_pruning", "predict_context", "prune", "prune_texts",
        "save_pretrained",
    ),
    PruningCrossEncoder: ("predict", "rank"),
    AutoModelForMaskedSeqModeling: ("from_pretrained", "run_self_test"),
    MaskedSeqModel: (
        "forward", "predict_proba", "resize_token_embeddings", "get_input_embeddings", "save_pretrained",
    ),
}  # fmt: skip


@pytest.mark.parametrize("cls", PROMISED)
def test_every_promised_call_is_there_and_explained(cls: type) -> None:
    assert all(callable(getattr(cls, name)) for name in PROMISED[cls])
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "guides").glob("*.md"))
    assert [name for name in PROMISED[cls] if f"{name}" not in text] == []


@pytest.mark.filterwarnings("ignore")
def test_the_guide_works_word_for_word(
    convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ORIGINALS / NAME, tmp_path / "original")
    convert(tmp_path / "original")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks(PAGE, "python"):
        exec(block, names)
    assert type(names["model"]).__module__.endswith("modeling_pruning_encoder")
    assert names["score"].shape == (1, 1) and names["keep_mask"].any() and names["loss"] > 0
    noted = load_file(ORIGINALS / f"{NAME}.safetensors")
    with torch.no_grad():
        found = names["registered"].eval()(**{key: noted[key] for key in ("input_ids", "attention_mask")})
    torch.testing.assert_close(found.logits, noted["logits"], atol=1e-5, rtol=0)
    ranked = names["reranker"].rank(names["query"], [names["document"], "bad"])
    assert ranked[0]["score"] >= ranked[1]["score"]
    raw = np.array(names["encoder"].predict([(names["query"], names["document"])]))
    one = names["reranker"].predict((names["query"], names["document"]))
    np.testing.assert_allclose(one, 1 / (1 + np.exp(-raw[0])), atol=1e-5)
