"""A cut model computes what the gated model computes, for any masks, family, head and attention."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.masks import MaskSet
from prunecli.masks.gates import put_gates, set_masks
from prunecli.masks.units import EVERY_GROUP, GROUPS
from tests import tiny

SIZES = ((2, 4), (4, 16))  # examples, tokens: fewer tokens than rows of any linear, and more than any
SOME_GROUPS = st.sets(st.sampled_from(GROUPS), min_size=1).map(
    lambda names: tuple(group for group in GROUPS if group in names)
)
SEEDS = st.integers(0, 10_000)


def largest_difference(source: Path, masks: MaskSet, dtype: str) -> float:
    """Cut the checkpoint, gate it, and compare their outputs over attentions and batch sizes."""
    with TemporaryDirectory() as folder:
        cut = tiny.load(tiny.cut(source, masks, Path(folder) / "cut"), dtype)
    gated = tiny.load(source, dtype)
    set_masks(put_gates(gated, tiny.sizes(source), tuple(masks.masks)), masks)
    differences = []
    for attention in tiny.attentions(gated):
        tiny.use_attention(cut, attention)
        tiny.use_attention(gated, attention)
        for examples, tokens in SIZES:
            inputs = tiny.tiny_inputs(gated, examples, tokens)
            differences.append((tiny.outputs(cut, inputs) - tiny.outputs(gated, inputs)).abs().max().item())
    return max(differences)


@pytest.mark.parametrize(("model_type", "head"), [*tiny.MODELS, *tiny.AROUND_MODELS])
def test_cut_equals_gated_in_float32(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path]
) -> None:
    drawn = Random(f"{model_type} {head}")  # one draw each, and another one each
    groups = tuple(group for group in GROUPS if drawn.random() < 0.6) or GROUPS
    source = tiny_checkpoint(model_type, head)
    real, empty = drawn.random() < 0.5, drawn.random() < 0.5
    masks = tiny.random_masks(tiny.sizes(source), groups, drawn.randrange(10_000), real, empty)
    assert largest_difference(source, masks, "float32") < 1e-5


@pytest.mark.parametrize(("model_type", "head"), tiny.OTHER_MODELS)
def test_every_other_head_reads_the_same_encoder(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path]
) -> None:
    source = tiny_checkpoint(model_type, head)
    masks = tiny.random_masks(tiny.sizes(source), GROUPS, 1, real=True, empty=True)
    assert largest_difference(source, masks, "float32") < 1e-5


@pytest.mark.parametrize(("model_type", "head"), tiny.MODELS)
@given(groups=SOME_GROUPS, seed=SEEDS)
@settings(max_examples=2)
def test_cut_equals_gated_in_float64(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path], groups: tuple[str, ...], seed: int
) -> None:
    source = tiny_checkpoint(model_type, head, "float64")
    masks = tiny.random_masks(tiny.sizes(source), groups, seed, real=True, empty=True)
    assert largest_difference(source, masks, "float64") < 1e-10


@pytest.mark.parametrize("model_type", [name for name in tiny.MODEL_TYPES if name != "albert"])
@given(others=st.sampled_from(((), GROUPS)), seed=SEEDS)
@settings(max_examples=2)
def test_cut_equals_gated_in_float64_where_layers_go(
    model_type: str, tiny_checkpoint: Callable[..., Path], others: tuple[str, ...], seed: int
) -> None:
    source = tiny_checkpoint(model_type, tiny.CLASSIFICATION, "float64")
    masks = tiny.random_masks(tiny.sizes(source), (*others, "layer"), seed, real=True, empty=True)
    masks.masks["layer"][seed % 2 * 2] = 0  # the first or the last
    assert largest_difference(source, masks, "float64") < 1e-10


@pytest.mark.parametrize(("model_type", "head"), tiny.AROUND_MODELS)
@pytest.mark.parametrize("groups", [("layer",), ("head", "layer"), ("ffn_int", "hidden", "layer")])
def test_models_around_an_encoder_lose_its_layers_and_dimensions(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path], groups: tuple[str, ...]
) -> None:
    source = tiny_checkpoint(model_type, head)
    masks = tiny.random_masks(tiny.sizes(source), groups, 10)  # without the first
    assert largest_difference(source, masks, "float32") < 1e-5


@pytest.mark.parametrize(("model_type", "head"), tiny.STREAMS)
def test_cut_equals_gated_in_float64_where_hidden_dimensions_go(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path]
) -> None:
    drawn = Random(f"{model_type} {head}")
    others = [group for group in ("head", "ffn_int", "layer") if drawn.random() < 0.6]
    source = tiny_checkpoint(model_type, head, "float64")
    seed = drawn.randrange(10_000)
    masks = tiny.random_masks(tiny.sizes(source), (*others, "hidden"), seed, real=True, empty=True)
    assert largest_difference(source, masks, "float64") < 1e-10


@pytest.mark.parametrize("group", EVERY_GROUP)
def test_each_group_changes_the_outputs(group: str, bert: Path, tmp_path: Path) -> None:
    masks = tiny.random_masks(tiny.sizes(bert), (group,), seed=0)
    dense, cut = tiny.load(bert), tiny.load(tiny.cut(bert, masks, tmp_path / "cut"))
    inputs = tiny.tiny_inputs(dense)
    assert (tiny.outputs(dense, inputs) - tiny.outputs(cut, inputs)).abs().max() > 1e-3


def test_the_attentions_are_two_computations(bert: Path) -> None:
    model = tiny.load(bert, "float32", "eager")
    inputs = tiny.tiny_inputs(model, 4, 16)
    eager = tiny.outputs(model, inputs)
    tiny.use_attention(model, "sdpa")
    sdpa = tiny.outputs(model, inputs)
    assert not torch.equal(eager, sdpa)
    assert torch.allclose(eager, sdpa, atol=1e-5)


def test_a_mask_of_ones_leaves_every_byte(bert: Path, tmp_path: Path) -> None:
    encoder = tiny.sizes(bert)
    masks = MaskSet({group: MaskSet({}).of(group, encoder) for group in GROUPS})
    cut = tiny.cut(bert, masks, tmp_path / "cut")
    before, after = read_checkpoint(bert).tensors, read_checkpoint(cut).tensors
    assert {name: entry.read() for name, entry in before.items()} == {
        name: entry.read() for name, entry in after.items()
    }


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_half_precision_checkpoint_stays_in_its_type(
    dtype: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    source = tiny_checkpoint("bert", tiny.CLASSIFICATION, dtype)
    masks = tiny.random_masks(tiny.sizes(source), GROUPS, seed=0)
    cut = read_checkpoint(tiny.cut(source, masks, tmp_path / "cut"))
    types = {entry.dtype for entry in cut.tensors.values() if not entry.name.endswith("_index")}
    assert types == {{"float16": "F16", "bfloat16": "BF16"}[dtype]}
    assert largest_difference(source, masks, "float32") < 1e-5
