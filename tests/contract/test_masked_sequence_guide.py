"""The guide to models of several positions, followed word for word."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests import tiny
from tests.contract.test_docs import DOCS, blocks
from tests.unit.test_irti_masked_seq import FIXTURE


@pytest.mark.parametrize("model_type", ["bert", "modernbert"])
def test_the_guide_works_word_for_word(
    model_type: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers.utils.logging.set_verbosity_error()
    shutil.copytree(tiny_checkpoint(model_type, "Model"), tmp_path / "my-encoder")
    encoder = tiny_checkpoint(model_type, "Model")
    tiny.cut(encoder, tiny.random_masks(tiny.sizes(encoder), ("head",), seed=0), tmp_path / "pruned-encoder")
    shutil.copytree(FIXTURE, tmp_path / "irti-checkpoint")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks(DOCS / "guides" / "masked-sequence.md", "python"):
        exec(block, names)
    assert names["probabilities"].shape == (2, 2, 3)
    assert torch.allclose(names["probabilities"].sum(-1), torch.ones(2, 2))
    assert names["output"].loss > 0 and names["difference"] == 0
    ids = {"input_ids": names["batch"]["input_ids"], "mask_indices": names["mask_indices"]}
    wanted = names["model"](**ids).logits
    for name in ("again", "elsewhere"):
        assert torch.equal(names[name](**ids).logits, wanted)
    assert names["again"].get_input_embeddings().num_embeddings == len(names["tokenizer"])
    assert (tmp_path / "smaller-tagger" / "modeling_pruned.py").is_file()
    assert (tmp_path / "irti-checkpoint-converted" / "modeling_masked_seq.py").is_file()
