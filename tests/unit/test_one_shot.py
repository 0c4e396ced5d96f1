"""Scores without training: what they are, checked against the definition; and against what an eye can see."""

from typing import Any

import pytest
import torch
from torch import Tensor

from prunecli import methods
from prunecli.calibration.backward import backward_passes
from prunecli.calibration.statistics import Statistics
from prunecli.calibration.sublayers import linear_of, sublayers
from prunecli.masks.gates import put_gates
from prunecli.methods.base import Calibrated, ScoreMethod
from prunecli.methods.fisher import added_losses
from prunecli.methods.one_shot import DAMPING, removal_errors
from tests import tiny

SCORED = [name for name in methods.names() if isinstance(methods.get(name), ScoreMethod)]


def statistics(columns: int, seed: int = 0) -> tuple[Tensor, Statistics]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(200, columns, generator=generator) @ torch.randn(columns, columns, generator=generator)
    g = torch.randn(50, 6, generator=generator)
    weight = torch.randn(6, columns, generator=generator)
    return weight, Statistics(x.T @ x, g.T @ g / 50)


def by_definition(weight: Tensor, sums: Statistics, columns: list[int]) -> float:
    """Return tr(W_S' G W_S [H^-1_SS]^-1): the least loss with the others refitted."""
    h = sums.inputs_NN.double()
    h = h + DAMPING * h.diagonal().mean() * torch.eye(len(h))
    inverse = torch.linalg.inv(h)[columns][:, columns]
    w = weight.double()[:, columns]
    return float(torch.trace(w.T @ sums.gradients_HH.double() @ w @ torch.linalg.inv(inverse)))


@pytest.mark.parametrize("width", [1, 4])
def test_the_first_to_go_costs_what_the_definition_says(width: int) -> None:
    weight, sums = statistics(12)
    errors = removal_errors(weight, sums, width)
    each = [by_definition(weight, sums, list(range(u * width, (u + 1) * width))) for u in range(12 // width)]
    assert int(errors.argmin()) == min(range(len(each)), key=each.__getitem__)
    assert float(errors.min()) == pytest.approx(min(each), rel=1e-3)


@pytest.mark.parametrize("width", [1, 3])
def test_the_sum_over_all_is_what_removing_all_costs(width: int) -> None:
    weight, sums = statistics(12)
    everything = by_definition(weight, sums, list(range(12)))
    assert float(removal_errors(weight, sums, width).sum()) >= everything * (
        1 - 1e-3
    )  # scores never fall on the way


def test_a_copy_is_nearly_free_and_its_original_is_not_after_it() -> None:
    weight, sums = statistics(8)
    twice = torch.cat([torch.eye(8), torch.eye(8)[:1]])  # column 8 reads what column 0 reads
    h = twice @ sums.inputs_NN @ twice.T
    both = torch.cat([weight, weight[:, :1]], 1)
    errors = removal_errors(both, Statistics(h, sums.gradients_HH), 1)
    first, second = sorted([float(errors[0]), float(errors[8])])
    assert first < 0.05 * second


def calibrated(model_type: str) -> Calibrated:
    model = tiny.tiny_model(model_type)
    encoder = tiny.table(model)
    values = put_gates(model, encoder, ("head", "ffn_int"))
    batches: list[Any] = [tiny.tiny_inputs(model, 4, 9, seed) for seed in range(3)]
    labels = [{"labels": torch.tensor([0, 1, 2, 0])}] * 3
    return Calibrated(
        model, encoder, batches, labels, {group: value.clone() for group, value in values.items()}, 0
    )


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
@pytest.mark.parametrize("name", SCORED)
def test_every_method_scores_every_family(name: str, model_type: str) -> None:
    model = calibrated(model_type)
    model.kept["ffn_int"][1, :7] = 0.0
    method = methods.get(name)
    assert isinstance(method, ScoreMethod)
    scores = method.score(model)
    for group, score in scores.items():
        assert score.shape == model.kept[group].shape
        assert torch.isfinite(score).all()
        assert ((score == -1) == (model.kept[group] == 0)).all()
        assert score[model.kept[group] != 0].std() > 0


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "albert"])
def test_gate_derivatives_are_those_of_autograd(model_type: str) -> None:
    model = tiny.tiny_model(model_type, num_labels=1)
    encoder = tiny.table(model)
    values = put_gates(model, encoder, ("head", "ffn_int"))
    batch = tiny.tiny_inputs(model, 1, 7)  # one example: squares of sums are sums of squares
    found = {
        (seen.place.group, seen.place.layer): seen.by_gate().sum((0, 1))
        for seen in backward_passes(model, encoder, [batch], lambda outputs, _: [outputs.logits.sum()])
    }
    for group in values:
        values[group].requires_grad_(True)
    model(**batch).logits.sum().backward()
    for place in sublayers(encoder):
        gradient = values[place.group].grad
        assert gradient is not None
        by_gate_U = found[place.group, place.layer]
        assert torch.allclose(by_gate_U, gradient[place.layer], rtol=1e-3, atol=1e-7)
        assert linear_of(model, place).weight.grad is not None  # parameters train again afterwards


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_fisher_scores_are_the_greedy_order_and_add_up(mean: float) -> None:
    generator = torch.Generator().manual_seed(0)
    gradients_BU = (
        torch.randn(6, 40, generator=generator) + mean
    )  # about 0, cross terms are negative half of the time
    information_UU = gradients_BU.T @ gradients_BU
    kept_U = torch.ones(40)
    kept_U[4] = 0.0
    added_U = added_losses(information_UU, kept_U)
    assert added_U[4] == -1
    assert len(set(added_U.tolist())) == 40
    gone_U = torch.zeros(40)
    for unit in added_U.argsort()[1:].tolist():
        each = information_UU.diagonal() + 2 * information_UU @ gone_U
        each[(gone_U > 0) | (kept_U == 0)] = torch.inf
        assert each[unit] == pytest.approx(float(each.min()), abs=1e-3)
        gone_U[unit] = 1.0
    assert added_U[kept_U > 0].sum() == pytest.approx(float(gone_U @ information_UU @ gone_U), rel=1e-2)
