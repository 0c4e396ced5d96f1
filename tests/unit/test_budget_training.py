"""Gates under a budget: what they are expected to cost, what the multiplier does, where gates start."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from prunecli import methods
from prunecli.masks import prices
from prunecli.masks.units import mask_shape
from prunecli.methods.hard_concrete import METHOD as HARD_CONCRETE
from prunecli.methods.hard_concrete import SHIFT
from prunecli.training.budget import WARMUP, Lagrangian
from prunecli.training.gates import Gates
from prunecli.training.target import Target
from tests import tiny

ENCODER = tiny.table(tiny.tiny_model("bert"))
PRICES = prices.flops(ENCODER, 11)
GROUPS = ("head", "ffn_int")


def lagrangian(share: float = 0.5) -> Lagrangian:
    return Lagrangian(PRICES, share)


def share_of(masks: Mapping[str, Any]) -> float:
    widths = {group: [int(row.sum()) for row in mask != 0] for group, mask in masks.items()}
    return PRICES.of(widths) / PRICES.dense


def test_the_expected_price_of_sure_gates_is_their_price() -> None:
    masks = tiny.random_masks(ENCODER, GROUPS, 5, empty=True)
    sure = {group: torch.from_numpy(mask) for group, mask in masks.masks.items()}
    assert lagrangian().expected(sure).item() == pytest.approx(share_of(masks.masks), rel=1e-5)
    half = {group: torch.full_like(mask, 0.5) for group, mask in sure.items()}
    assert lagrangian().expected(half).item() == pytest.approx(0.5, rel=1e-5)


def test_the_budget_falls_to_the_target_and_stays() -> None:
    term = lagrangian(0.4)
    assert term.target() == 1.0
    term.progress = WARMUP / 2
    assert term.target() == pytest.approx(0.7)
    term.progress = 0.9
    assert term.target() == pytest.approx(0.4)


def test_the_multiplier_rises_while_the_budget_is_missed_and_pushes_gates_shut() -> None:
    gates = Gates(HARD_CONCRETE, ENCODER, GROUPS, "open", 0, lagrangian(0.3))
    term = gates.lagrangian
    assert term is not None
    term.progress = 1.0
    for _ in range(3):  # batches of one step
        term(gates.chances())
    assert term.multiplier == 0
    term.step(gates.chances())
    assert term.multiplier > 0 and "lagrangian.multiplier" in gates.state_dict()
    term(gates.chances()).backward()
    assert all((logits.grad > 0).all() for logits in gates.logits.values())
    assert all((logits.grad > 0).all() for logits in gates.coarse.values())


def test_gates_follow_the_budget_down_and_stay_there() -> None:
    gates = Gates(HARD_CONCRETE, ENCODER, GROUPS, "open", 0, lagrangian(0.3))
    term, steps, misses = gates.lagrangian, 300, []
    assert term is not None
    optimizer = torch.optim.AdamW([*gates.logits.parameters(), *gates.coarse.parameters()], 0.05)
    importance = {group: torch.rand(logits.shape) for group, logits in gates.logits.items()}
    for step in range(steps):
        term.progress = step / steps
        chances = gates.chances()
        lost = sum(((1 - chance) * importance[group]).mean() for group, chance in chances.items())
        optimizer.zero_grad()
        (lost + term(chances)).backward()
        optimizer.step()
        term.step(gates.chances())
        misses.append(term.expected(gates.chances()).item() - term.target())
    assert min(misses) > -0.05  # no swing below
    assert max(map(abs, misses[-steps // 10 :])) < 0.02


def test_a_shut_sublayer_shuts_its_units() -> None:
    gates = Gates(HARD_CONCRETE, ENCODER, GROUPS, "open", 0, lagrangian())
    with torch.no_grad():
        gates.coarse["ffn_int"][1] = -9.0
    gates.train()
    for values in (gates.values(), gates.decisions()):
        assert not values["ffn_int"][1].any() and values["ffn_int"][0].any()


def test_the_decisions_meet_the_budget_and_keep_the_likely() -> None:
    gates = Gates(HARD_CONCRETE, ENCODER, GROUPS, "randn", 0, lagrangian())
    target = Target(PRICES, 0.5, {})
    masks = target.by_chance(gates.chances())
    assert 0.45 < share_of(masks) <= 0.5
    chances = gates.chances()["ffn_int"].detach()
    for layer, mask in enumerate(masks["ffn_int"]):
        if mask.any() and not mask.all():
            assert chances[layer][mask].min() >= chances[layer][~mask].max()


@pytest.mark.parametrize(("slower", "reached"), [(1.1, 0.5 / 1.1), (0.9, 0.5 / 0.9), (1.01, 0.5), (9.0, 0.4)])
def test_a_timing_corrects_a_budget_of_time(
    slower: float, reached: float, caplog: pytest.LogCaptureFixture
) -> None:
    scores = {group: torch.rand(mask_shape(ENCODER, group)) for group in GROUPS}
    target = Target(PRICES, 0.5, {}, lambda masks: slower * share_of(masks.masks))
    assert reached - 0.05 < share_of(target.masks_in_time(scores, 0.5)) <= reached
    assert ("far off" in caplog.text) == (slower > 2)


def test_gates_start_in_the_order_of_worth() -> None:
    gates = Gates(HARD_CONCRETE, ENCODER, GROUPS, "randn", 0, lagrangian())
    worth = {group: torch.rand(logits.shape) * 1e-6 for group, logits in gates.logits.items()}
    worth["head"][0, 0] = 0.0
    gates.open_by(worth)
    for group, logits in gates.logits.items():
        order = worth[group].flatten().argsort()
        assert (logits.detach().flatten()[order].diff() >= 0).all()
        assert torch.isfinite(logits).all()
    assert gates.logits["head"][0, 0] < gates.logits["head"][0, 1]


def test_hard_concrete_is_exactly_zero_as_often_as_it_says() -> None:
    logits = torch.tensor([-3.0, SHIFT, 1.0, 3.0]).repeat(20_000, 1)
    torch.manual_seed(0)
    drawn = HARD_CONCRETE.sample(logits, 1.0)
    assert np.allclose((drawn > 0).float().mean(0), HARD_CONCRETE.open_probability(logits[0]), atol=0.01)
    assert drawn.min() == 0.0 and drawn.max() == 1.0
    assert HARD_CONCRETE.decide(logits[0]).tolist() == [False, True, True, True]


@pytest.mark.parametrize("name", ["gumbel-sigmoid", "hard-concrete"])
def test_both_kinds_of_gates_have_a_chance_to_count_with(name: str) -> None:
    method = methods.get(name)
    chance = method.open_probability(torch.linspace(-5, 5, 11))  # type: ignore[union-attr]
    assert (chance.diff() > 0).all() and (chance > 0).all() and (chance < 1).all()
