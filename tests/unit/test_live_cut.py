"""A model that is cut while it lives computes what the gated one computes, and gives its weights back."""

import pytest
import torch

from prunecli.masks.gates import put_gates, set_masks
from prunecli.masks.units import GROUPS
from prunecli.training.live_cut import cut_live, put_back
from tests import tiny


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
@pytest.mark.parametrize("empty", [False, True])
def test_the_cut_model_equals_the_gated_one(model_type: str, empty: bool) -> None:
    cut, gated = tiny.tiny_model(model_type), tiny.tiny_model(model_type)
    encoder = tiny.table(gated)
    masks = tiny.random_masks(encoder, GROUPS, 3, empty=empty)
    set_masks(put_gates(gated, encoder, GROUPS), masks)
    cut_live(cut, encoder, masks)
    inputs = tiny.tiny_inputs(gated)
    assert torch.allclose(tiny.outputs(cut, inputs), tiny.outputs(gated, inputs), atol=1e-5)
    assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in gated.parameters())


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_what_the_cut_model_learned_is_put_back(model_type: str) -> None:
    cut, whole = tiny.tiny_model(model_type), tiny.tiny_model(model_type)
    encoder = tiny.table(whole)
    masks = tiny.random_masks(encoder, ("head", "ffn_int"), 4, empty=True)
    cut_live(cut, encoder, masks)
    tiny.randomise(cut, 7)
    put_back(whole, cut, encoder, masks)
    set_masks(put_gates(whole, encoder, ("head", "ffn_int")), masks)
    inputs = tiny.tiny_inputs(whole)
    assert torch.allclose(tiny.outputs(cut, inputs), tiny.outputs(whole, inputs), atol=1e-5)
