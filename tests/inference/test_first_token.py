"""A last layer that computes the first token only says the same; it is taken back where a family is built otherwise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from prunecli.calibration.sublayers import layers_of
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.inference.first_token import FirstTokenAttention, read_first_token_only
from prunecli.inference.packed_linears import pack_linears
from prunecli.masks import MaskSet
from prunecli.models.shipped import encoder_of
from tests import tiny

BUILT_AS_BERT = (
    "bert", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "rembert", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl",
)  # fmt: skip


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_logits_stay_the_same(model_type: str) -> None:
    model = tiny.tiny_model(model_type)
    inputs = tiny.tiny_inputs(model, examples=3)
    expected = tiny.outputs(model, inputs)
    done = read_first_token_only(model, tiny.table(model))
    assert done == (model_type in BUILT_AS_BERT)
    assert any(isinstance(module, FirstTokenAttention) for module in model.modules()) == done
    torch.testing.assert_close(tiny.outputs(model, inputs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("empty", [False, True])
def test_pruned_layers_too(empty: bool, tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = tiny_checkpoint("bert")
    masks = tiny.random_masks(tiny.sizes(source), ("head", "ffn_int"), seed=0, empty=empty)
    model = tiny.load(tiny.cut(source, masks, tmp_path / "cut"))
    inputs = tiny.tiny_inputs(model)
    expected = tiny.outputs(model, inputs)
    assert read_first_token_only(model, tiny.sizes(source))
    torch.testing.assert_close(tiny.outputs(model, inputs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("left", [2, 1])
def test_the_last_layer_that_is_left_is_meant(
    left: int, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    source = tiny_checkpoint("bert")
    head = np.ones((tiny.LAYERS, 4), dtype=np.float32)
    head[0, 1] = 0
    layers = np.array([[1.0]] * left + [[0.0]] * (tiny.LAYERS - left), dtype=np.float32)
    folder = tiny.cut(source, MaskSet({"layer": layers, "head": head}), tmp_path / "cut")
    model, encoder = tiny.load(folder), encoder_of(read_checkpoint(folder))
    inputs = tiny.tiny_inputs(model)
    expected = tiny.outputs(model, inputs)
    assert len(layers_of(model, encoder)) == left
    assert read_first_token_only(model, encoder) and pack_linears(model, encoder)
    torch.testing.assert_close(tiny.outputs(model, inputs), expected, atol=1e-5, rtol=0)


def test_half_precision_is_decided_in_float32_and_stays() -> None:
    model = tiny.tiny_model("bert").bfloat16()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert read_first_token_only(model, tiny.table(model))
    found = model.state_dict()
    assert all(found[name].dtype == torch.bfloat16 for name in weights)
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
