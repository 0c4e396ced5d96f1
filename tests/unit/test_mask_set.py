"""What a set of masks says, and which masks are refused."""

import numpy as np
import pytest

from prunecli.encoders import Encoder
from prunecli.errors import MaskError
from prunecli.masks import MaskSet
from prunecli.masks.units import GROUPS, mask_shape
from tests import tiny


def ones(encoder: Encoder, group: str) -> np.ndarray:
    """Return a mask that keeps all of a group's units."""
    return np.ones(mask_shape(encoder, group), dtype=np.float32)


def test_a_group_without_a_mask_keeps_all(bert_encoder: Encoder) -> None:
    assert [int(MaskSet({}).of(group, bert_encoder).sum(axis=1)[0]) for group in GROUPS] == [4, 48, 32, 32]


def test_every_value_but_zero_keeps_a_unit(bert_encoder: Encoder) -> None:
    mask = np.array([[0, 1, -0.1, 1.9]] * 3, dtype=np.float32)
    masks = MaskSet({"head": mask})
    assert list(masks.kept("head", 0, bert_encoder)) == [1, 2, 3]
    assert masks.density("head") == 0.75


def test_a_mask_of_another_model_names_group_shapes_and_model(bert_encoder: Encoder) -> None:
    with pytest.raises(MaskError, match=r"mask head has shape \[12, 12\], but my-model needs \[3, 4\]"):
        MaskSet({"head": np.ones((12, 12), dtype=np.float32)}).check(bert_encoder, "my-model")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(bad: float, bert_encoder: Encoder) -> None:
    mask = ones(bert_encoder, "ffn_int")
    mask[1, 7] = bad
    with pytest.raises(MaskError, match="ffn_int holds NaN or infinite"):
        MaskSet({"ffn_int": mask}).check(bert_encoder, "model")


def test_an_unknown_group_is_named(bert_encoder: Encoder) -> None:
    with pytest.raises(MaskError, match="unknown mask group 'neurons'"):
        MaskSet({"neurons": ones(bert_encoder, "ffn_int")}).check(bert_encoder, "model")


@pytest.mark.parametrize("groups", [("head", "ffn_int"), ("head", "ffn_out"), GROUPS])
def test_masks_that_remove_everything_are_refused(groups: tuple[str, ...], bert_encoder: Encoder) -> None:
    masks = MaskSet({group: 0 * ones(bert_encoder, group) for group in groups})
    with pytest.raises(MaskError, match="remove every head and every neuron"):
        masks.check(bert_encoder, "model")


def test_neurons_that_write_nothing_do_not_count(bert_encoder: Encoder) -> None:
    neurons, written = ones(bert_encoder, "ffn_int"), ones(bert_encoder, "ffn_out")
    neurons[0], written[1:] = 0, 0
    masks = MaskSet({"head": 0 * ones(bert_encoder, "head"), "ffn_int": neurons, "ffn_out": written})
    with pytest.raises(MaskError, match="remove every head and every neuron"):
        masks.check(bert_encoder, "model")


@pytest.mark.parametrize("group", GROUPS)
def test_one_group_may_go_altogether(group: str, bert_encoder: Encoder) -> None:
    MaskSet({group: 0 * ones(bert_encoder, group)}).check(bert_encoder, "model")


def test_logits_of_another_shape_are_refused(bert_encoder: Encoder) -> None:
    masks = MaskSet({"head": ones(bert_encoder, "head")}, {"head": np.zeros((3, 2), dtype=np.float32)})
    with pytest.raises(MaskError, match="head"):
        masks.check(bert_encoder, "model")


def test_rounding_to_one_changes_nothing(bert_encoder: Encoder) -> None:
    masks = tiny.random_masks(bert_encoder, GROUPS, seed=0)
    rounded = masks.rounded(bert_encoder, dict.fromkeys(GROUPS, 1))
    assert all(np.array_equal(rounded.masks[group], masks.masks[group]) for group in GROUPS)


def test_each_group_is_rounded_to_its_own_multiple(bert_encoder: Encoder) -> None:
    masks = MaskSet(
        {
            group: np.eye(*mask_shape(bert_encoder, group), dtype=np.float32)
            for group in ("head", "ffn_int", "ffn_in")
        }
    )  # one unit a layer
    rounded = masks.rounded(bert_encoder, {"head": 24, "ffn_int": 7})
    assert [int(rounded.masks[group][0].sum()) for group in masks.masks] == [3, 7, 1]
    assert all(mask.sum() == tiny.LAYERS for mask in masks.masks.values()), "the masks themselves stay"


def test_rounding_brings_nothing_back_that_was_cut_before(bert_encoder: Encoder) -> None:
    already, masks = (tiny.random_masks(bert_encoder, ("ffn_int",), seed) for seed in (1, 2))
    left = masks.rounded(bert_encoder, {"ffn_int": 5}, already).after(already).masks["ffn_int"]
    there = np.count_nonzero(already.masks["ffn_int"], axis=1)
    widths = np.count_nonzero(left, axis=1)
    assert ((widths % 5 == 0) | (widths == there)).all()
    assert (widths >= np.count_nonzero(masks.after(already).masks["ffn_int"], axis=1)).all()
