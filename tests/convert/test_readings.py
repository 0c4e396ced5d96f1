"""The independent readings against what was noted when the fixtures were made, and what they refuse."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from prunecli.checkpoints.folder import WEIGHTS
from prunecli.errors import InputError
from prunecli.verification.sources import Written, outputs_of
from tests.convert.conftest import ORIGINALS, Convert, expected

KINDS = {
    "reranking-pruning-bert": "original-pruning-encoder",
    "reranking-pruning-modernbert": "original-pruning-encoder",
    "pruning-only-bert": "original-pruning-encoder",
    "pruning-only-modernbert": "original-pruning-encoder",
    "open-provence": "open-provence",
    "open-provence-trainer": "open-provence",
}


def written(folder: Path) -> Written:
    """Return a converted folder as a reading may see it."""
    return Written(json.loads((folder / "config.json").read_text()), load_file(folder / WEIGHTS))


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_reading_gives_what_was_noted(name: str, kind: str, convert: Convert) -> None:
    noted = expected(name)
    inputs = {key: noted[key] for key in ("input_ids", "attention_mask")}
    out = convert(ORIGINALS / name)
    found = outputs_of(kind, ORIGINALS / name, None, written(out), inputs)
    again = outputs_of("pruning-encoder", out, None, written(out), inputs)
    for outputs in (found, again):
        pruning = outputs.get("pruning_logits", outputs["logits"])
        torch.testing.assert_close(pruning, noted["pruning_logits"], atol=1e-5, rtol=0)
        if "logits" in noted:
            torch.testing.assert_close(outputs["logits"], noted["logits"], atol=1e-5, rtol=0)


def test_a_source_that_lacks_a_tensor_is_bad_input(tmp_path: Path, convert: Convert) -> None:
    out = convert(ORIGINALS / "open-provence")
    noted, file = expected("open-provence"), out / WEIGHTS
    state = load_file(file)
    del state["model.layers.1.mlp.Wi.weight"]
    save_file(state, file)
    with pytest.raises(InputError, match=r"tensor model\.layers\.1\.mlp\.Wi\.weight is missing"):
        outputs_of("pruning-encoder", out, None, written(out), {"input_ids": noted["input_ids"]})
