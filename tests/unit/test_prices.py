"""Prices add up to what `budget` counts, for every family and any masks."""

import numpy as np
import pytest

from prunecli.config.shared import PRICED_GROUPS
from prunecli.masks import MaskSet, prices
from prunecli.masks.budget import encoder_flops, layer_parameters
from prunecli.masks.mask_set import Array
from tests import tiny


def widths(masks: MaskSet) -> dict[str, list[int]]:
    return {group: [int(row.sum()) for row in mask != 0] for group, mask in masks.masks.items()}


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_prices_of_widths_are_the_counts_of_the_cut_encoder(model_type: str, seed: int) -> None:
    encoder = tiny.table(tiny.tiny_model(model_type))
    masks = tiny.random_masks(encoder, PRICED_GROUPS, seed, empty=bool(seed))
    flops, parameters = prices.flops(encoder, 17), prices.parameters(encoder)
    assert flops.of(widths(masks)) == encoder_flops(encoder, masks, 17)
    assert flops.dense == encoder_flops(encoder, MaskSet({}), 17)
    assert parameters.of(widths(masks)) == layer_parameters(encoder, masks)
    assert parameters.dense == layer_parameters(encoder, MaskSet({}))


def test_what_may_not_go_is_a_fixed_price() -> None:
    encoder = tiny.table(tiny.tiny_model("bert"))
    whole = prices.flops(encoder, 9)
    heads = whole.only(("head",))
    assert heads.dense == whole.dense
    gone: dict[str, Array] = {"head": np.zeros((3, 4), np.float32)}
    assert heads.fixed == encoder_flops(encoder, MaskSet(gone), 9)
