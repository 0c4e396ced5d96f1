"""FLOPs and parameters agree with what torch counts on a live model, dense and cut."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.encoders import Encoder
from prunecli.masks import MaskSet
from prunecli.masks.budget import encoder_flops, layer_parameters, layer_shapes
from prunecli.masks.units import GROUPS
from prunecli.shrink.plan import plan_cut
from tests import tiny

TOKENS = 11


def counted_flops(model: PreTrainedModel, encoder: Encoder) -> int:
    """Return what torch counts inside the layers for one sequence under eager attention."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(input_ids=torch.full((1, TOKENS), 7))
    counts = counter.get_flop_counts()
    base = f"{type(model).__name__}.{model.base_model_prefix}."
    names = [base + encoder.module(layer, "").rstrip(".") for layer in range(encoder.layers)]
    return sum(sum(counts[name].values()) for name in names)


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_dense_flops_are_those_that_torch_counts(model_type: str, tmp_path: Path) -> None:
    # Positions that attend are left out of the count, as norms and embeddings are.
    plain = {"relative_attention": False} if model_type == "deberta-v2" else {}
    folder = tiny.save_tiny(tmp_path, model_type, **plain)
    encoder = tiny.sizes(folder)
    assert encoder_flops(encoder, MaskSet({}), TOKENS) == counted_flops(tiny.load(folder), encoder)


@pytest.mark.parametrize("empty", [False, True])
def test_flops_after_a_cut_are_those_that_torch_counts(bert: Path, tmp_path: Path, empty: bool) -> None:
    masks = tiny.random_masks(tiny.sizes(bert), GROUPS, seed=3, empty=empty)
    cut = tiny.load(tiny.cut(bert, masks, tmp_path / "cut"))
    assert encoder_flops(tiny.sizes(bert), masks, TOKENS) == counted_flops(cut, tiny.sizes(bert))


@pytest.mark.parametrize(("model_type", "head"), tiny.MODELS)
def test_parameters_are_those_of_the_models(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    source = tiny_checkpoint(model_type, head)
    masks = tiny.random_masks(tiny.sizes(source), GROUPS, seed=0, empty=True)
    cut = tiny.cut(source, masks, tmp_path / "cut")
    planned = plan_cut(read_checkpoint(source), tiny.sizes(source), masks, MaskSet({})).parameters
    assert planned == (tiny.load(source).num_parameters(), tiny.load(cut).num_parameters())


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_layers_lose_exactly_what_the_checkpoint_loses(
    model_type: str, tiny_checkpoint: Callable[..., Path]
) -> None:
    source = tiny_checkpoint(model_type)
    encoder = tiny.sizes(source)
    masks = tiny.random_masks(encoder, GROUPS, seed=1)
    before, after = plan_cut(read_checkpoint(source), encoder, masks, MaskSet({})).parameters
    assert layer_parameters(encoder, MaskSet({})) - layer_parameters(encoder, masks) == before - after


def test_kept_heads_and_neurons_are_counted_by_layer(bert: Path) -> None:
    encoder = tiny.sizes(bert)
    masks = tiny.random_masks(encoder, ("head", "ffn_int"), seed=2, empty=True)
    layers = layer_shapes(encoder, masks)
    assert [layer.heads for layer in layers] == [int(row.astype(bool).sum()) for row in masks.masks["head"]]
    assert layers[0].heads == 0
    assert layers[-1].neurons == 0
    assert layers[-1].linears["encoder.layer.2.output.dense"] == (tiny.HIDDEN, 0)
