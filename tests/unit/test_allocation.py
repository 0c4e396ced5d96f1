"""The best units for a budget: never above it, as near to it as one unit allows, and as good as trying everything."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecli.errors import NothingLeftError
from prunecli.masks.allocation import choose, fast_multiples, width_multiples
from prunecli.masks.mask_set import Array
from prunecli.masks.prices import Prices
from tests import tiny

LAYERS, HEADS, NEURONS = 2, 3, 8
HEAD_PRICE, NEURON_PRICE = 5.0, 1.0


def linear(fixed: float = 0.0) -> Prices:
    tables = {
        "head": np.tile(np.arange(HEADS + 1) * HEAD_PRICE, (LAYERS, 1)),
        "ffn_int": np.tile(np.arange(NEURONS + 1) * NEURON_PRICE, (LAYERS, 1)),
    }
    return Prices("flops", tables, fixed)


def scores(seed: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {
        "head": (5 * random.random((LAYERS, HEADS)) ** 3).astype(np.float32),
        "ffn_int": (random.random((LAYERS, NEURONS)) ** 3).astype(np.float32),
    }


def price(masks: dict[str, Array]) -> float:
    return float(masks["head"].sum() * HEAD_PRICE + masks["ffn_int"].sum() * NEURON_PRICE)


def loss(masks: dict[str, Array], scored: dict[str, Array]) -> float:
    return sum(float(scored[group][masks[group] == 0].sum()) for group in masks)


def best_loss(scored: dict[str, Array], budget: float) -> float:
    """Try every number of heads; the rest of the budget buys the best neurons."""
    heads, neurons = np.sort(scored["head"].ravel())[::-1], np.sort(scored["ffn_int"].ravel())[::-1]
    found = []
    for kept in range(len(heads) + 1):
        left = int((budget - kept * HEAD_PRICE) // NEURON_PRICE)
        if left >= 0:
            found.append(heads[kept:].sum() + neurons[left:].sum())
    return float(min(found))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 1.0))
def test_a_budget_is_met_to_less_than_one_unit(seed: int, share: float) -> None:
    budget = share * linear().dense
    masks = choose(scores(seed), linear(), budget)
    assert budget - HEAD_PRICE < price(masks) <= budget


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), share=st.floats(0.2, 1.0))
def test_the_loss_is_the_least_there_is_but_for_one_head(seed: int, share: float) -> None:
    scored, budget = scores(seed), share * linear().dense
    masks = choose(scored, linear(), budget)
    # A knapsack of two prices: the greedy rest may miss by what one more head's price would have bought.
    assert loss(masks, scored) <= best_loss(scored, budget - HEAD_PRICE) + 1e-5


def test_the_best_units_of_a_layer_stay() -> None:
    scored = scores(3)
    masks = choose(scored, linear(), 20.0)
    for group, layer in itertools.product(masks, range(LAYERS)):
        kept, gone = masks[group][layer] != 0, masks[group][layer] == 0
        if kept.any() and gone.any():
            assert scored[group][layer][kept].min() >= scored[group][layer][gone].max()


def test_prices_need_not_be_linear() -> None:
    tables = linear().tables
    steep = {
        **tables,
        "ffn_int": tables["ffn_int"] + 6.0 * (np.arange(NEURONS + 1) > 0),
    }  # a fixed price to run at all
    flat = {
        "head": np.zeros((LAYERS, HEADS), np.float32),
        "ffn_int": np.array([[1.0] * 8, [0.1] * 8], np.float32),
    }
    masks = choose(flat, Prices("ms", steep, 0.0), 14.0)
    assert masks["ffn_int"].sum(1).tolist() == [8.0, 0.0]


def test_widths_are_multiples_or_nothing_or_everything() -> None:
    masks = choose(scores(1), linear(), 0.6 * linear().dense, {"ffn_int": 3, "head": 2})
    assert all(width in (0, 3, 6, 8) for width in masks["ffn_int"].sum(1))
    assert all(width in (0, 2, 3) for width in masks["head"].sum(1))
    assert price(masks) <= 0.6 * linear().dense


def test_what_has_gone_does_not_come_back() -> None:
    scored = scores(2)
    scored["ffn_int"][0, :5] = -1.0
    masks = choose(scored, linear(), linear().dense)
    assert masks["ffn_int"][0].tolist() == [0.0] * 5 + [1.0] * 3
    assert masks["head"].all() and masks["ffn_int"][1].all()


@pytest.mark.parametrize(
    ("fixed", "budget", "said"),
    [
        (100.0, 50.0, r"34.2% .* pay for no unit: the least that keeps one is 69.2% \(68.5% cannot be cut\)"),
        (0.0, 0.5, "1.1% .* pay for no unit: the least that keeps one is 2.2%"),
    ],
)
def test_a_budget_that_leaves_nothing_is_refused(fixed: float, budget: float, said: str) -> None:
    prices = linear(fixed)
    with pytest.raises(NothingLeftError, match=said) as caught:
        choose(scores(0), prices, budget)
    hint = str(caught.value.fix)
    least = float(hint.removeprefix("ask for ").partition(" or more")[0])
    assert any(mask.any() for mask in choose(scores(0), prices, least * prices.dense).values())


def test_a_head_is_as_wide_as_its_size() -> None:
    encoder = tiny.table(tiny.tiny_model("bert"))  # heads of 8
    assert width_multiples(encoder, 16) == {"head": 2, "ffn_int": 16, "hidden": 16}
    assert width_multiples(encoder, 1) == {"head": 1, "ffn_int": 1, "hidden": 1}


def test_fast_widths_leave_something_to_choose_from() -> None:
    tiny_encoder = tiny.table(tiny.tiny_model("bert"))
    wide = dataclasses.replace(tiny_encoder, intermediate=1024)
    assert fast_multiples(wide, "cpu") == {"ffn_int": 32} and fast_multiples(wide, "cuda") == {"ffn_int": 64}
    assert fast_multiples(dataclasses.replace(wide, intermediate=1023), "cuda") == {}
    assert fast_multiples(tiny_encoder, "cpu") == {}
