"""Masks survive writing and reading; rounding only ever brings units back."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prunecli.encoders import Encoder
from prunecli.masks import MaskSet, formats
from prunecli.masks.units import GROUPS, mask_shape
from tests import tiny

SOME_GROUPS = st.sets(st.sampled_from(GROUPS), min_size=1).map(sorted).map(tuple)
SEEDS = st.integers(0, 10_000)


def with_logits(masks: MaskSet, seed: int) -> MaskSet:
    """Add random gate logits to masks."""
    random = np.random.default_rng(seed)
    logits = {group: random.normal(size=mask.shape).astype(np.float32) for group, mask in masks.masks.items()}
    return MaskSet(masks.masks, logits, {"seed": str(seed)})


def same(left: MaskSet, right: MaskSet) -> bool:
    """Say whether masks, logits and provenance agree exactly."""
    return left.provenance == right.provenance and all(
        mine.keys() == other.keys() and all(np.array_equal(mine[group], other[group]) for group in mine)
        for mine, other in ((left.masks, right.masks), (left.logits, right.logits))
    )


@given(groups=SOME_GROUPS, seed=SEEDS, real=st.booleans(), empty=st.booleans())
def test_masks_are_read_as_they_were_written(
    bert_encoder: Encoder, groups: tuple[str, ...], seed: int, real: bool, empty: bool
) -> None:
    masks = with_logits(tiny.random_masks(bert_encoder, groups, seed, real, empty), seed)
    with TemporaryDirectory() as folder:
        formats.write(masks, bert_encoder, Path(folder))
        assert same(formats.read(Path(folder), bert_encoder), masks)


@given(seed=SEEDS, real=st.booleans())
def test_pt_files_say_the_same_as_the_safetensors_file(bert_encoder: Encoder, seed: int, real: bool) -> None:
    masks = tiny.random_masks(bert_encoder, ("head", "ffn_int", "ffn_out"), seed, real)
    with TemporaryDirectory() as folder:
        formats.write(masks, bert_encoder, Path(folder))
        (Path(folder) / formats.FILE).unlink()
        assert same(formats.read(Path(folder), bert_encoder), masks)


@given(groups=SOME_GROUPS, seed=SEEDS, multiple=st.integers(1, 60), empty=st.booleans())
def test_rounding_gives_multiples(
    bert_encoder: Encoder, groups: tuple[str, ...], seed: int, multiple: int, empty: bool
) -> None:
    masks = tiny.random_masks(bert_encoder, groups, seed, empty=empty)
    for group, mask in masks.rounded(bert_encoder, dict.fromkeys(GROUPS, multiple)).masks.items():
        size = bert_encoder.head_size if group == "head" else 1
        full = mask_shape(bert_encoder, group)[1] * size
        widths = np.count_nonzero(mask, axis=1) * size
        assert all(width % multiple == 0 or width == full for width in widths)
        assert ((widths == 0) == (np.count_nonzero(masks.masks[group], axis=1) == 0)).all()


@given(groups=SOME_GROUPS, seed=SEEDS, multiple=st.integers(1, 60))
def test_rounding_keeps_every_kept_unit_and_its_value(
    bert_encoder: Encoder, groups: tuple[str, ...], seed: int, multiple: int
) -> None:
    masks = tiny.random_masks(bert_encoder, groups, seed, real=True)
    for group, mask in masks.rounded(bert_encoder, dict.fromkeys(GROUPS, multiple)).masks.items():
        kept = masks.masks[group] != 0
        assert (mask[kept] == masks.masks[group][kept]).all()
        assert (mask[~kept] * (mask[~kept] - 1) == 0).all()  # the others are 0 or came back as 1


@given(seed=SEEDS, multiple=st.integers(2, 20))
def test_rounding_brings_back_the_highest_logits_first(
    bert_encoder: Encoder, seed: int, multiple: int
) -> None:
    masks = with_logits(tiny.random_masks(bert_encoder, ("ffn_int",), seed), seed)
    rounded = masks.rounded(bert_encoder, dict.fromkeys(GROUPS, multiple)).masks["ffn_int"]
    for before, after, logits in zip(masks.masks["ffn_int"], rounded, masks.logits["ffn_int"], strict=True):
        back, left_out = logits[(before == 0) & (after != 0)], logits[after == 0]
        assert not back.size or not left_out.size or back.min() >= left_out.max()


def test_rounding_without_logits_brings_back_the_lowest_index(bert_encoder: Encoder) -> None:
    mask = np.zeros((tiny.LAYERS, tiny.INTERMEDIATE), dtype=np.float32)
    mask[:, 10] = 1
    rounded = MaskSet({"ffn_int": mask}).rounded(bert_encoder, {"ffn_int": 4}).masks["ffn_int"]
    assert [list(np.flatnonzero(row)) for row in rounded] == [[0, 1, 2, 10]] * tiny.LAYERS
