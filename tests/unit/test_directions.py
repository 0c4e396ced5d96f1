"""Vectors whose outer products are the Fisher information of the predictions."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.modeling_outputs import (
    BaseModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

from prunecli.calibration import directions as module
from prunecli.calibration.directions import directions, is_multi_label

MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


def gradients(outputs: Any, by: Tensor, multi_label: bool = False, seed: int = 0) -> Tensor:
    """Return the directions as vectors [directions, ...] by one of the outputs."""
    generator = torch.Generator().manual_seed(seed)
    found = list(directions(outputs, multi_label, MASK, generator))
    return torch.stack([torch.autograd.grad(scalar, by, retain_graph=True)[0] for scalar in found])


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_few_classes_are_exact(classes: int) -> None:
    logits = torch.randn(2, classes, requires_grad=True)
    found = gradients(SequenceClassifierOutput(logits=logits), logits)
    assert len(found) == classes - 1
    p = logits.detach().softmax(-1)
    for example in range(2):
        fisher = torch.diag(p[example]) - torch.outer(p[example], p[example])
        assert torch.allclose(found[:, example].T @ found[:, example], fisher, atol=1e-6)


def mean_outer(outputs: Any, by: Tensor, multi_label: bool, example: int) -> Tensor:
    draws = 800
    found = torch.stack(
        [gradients(outputs, by, multi_label, seed)[:, example].flatten(1) for seed in range(draws)]
    )
    return torch.einsum("sdi,sdj->ij", found, found) / draws


def test_many_classes_are_drawn_and_right_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_CLASSES", 2)
    logits = torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.0, 2.0]], requires_grad=True)
    p = logits.detach().softmax(-1)[0]
    fisher = torch.diag(p) - torch.outer(p, p)
    assert torch.allclose(
        mean_outer(SequenceClassifierOutput(logits=logits), logits, False, 0), fisher, atol=0.03
    )


def test_several_labels_are_independent() -> None:
    logits = torch.tensor([[1.0, -2.0], [0.0, 0.5]], requires_grad=True)
    p = logits.detach().sigmoid()[0]
    found = mean_outer(SequenceClassifierOutput(logits=logits), logits, True, 0)
    assert torch.allclose(found, torch.diag(p * (1 - p)), atol=0.03)


def test_a_number_has_one_direction() -> None:
    logits = torch.randn(2, 1, requires_grad=True)
    assert gradients(SequenceClassifierOutput(logits=logits), logits).tolist() == [[[1.0], [1.0]]]


def test_padding_has_no_direction() -> None:
    logits = torch.randn(2, 3, 5, requires_grad=True)
    found = gradients(TokenClassifierOutput(logits=logits), logits)
    assert found[:, 1, 2].abs().max() == 0 and found[:, 1, 1].abs().max() > 0
    hidden = torch.randn(2, 3, 4, requires_grad=True)
    found = gradients(BaseModelOutput(last_hidden_state=hidden), hidden)
    assert found[:, 1, 2].abs().max() == 0
    assert torch.allclose(found[:, 0].square().sum(0), torch.ones(3, 4))


def test_answers_have_two_ends() -> None:
    start, end = (torch.randn(2, 3, requires_grad=True) for _ in range(2))
    outputs = QuestionAnsweringModelOutput(start_logits=start, end_logits=end)
    assert gradients(outputs, start).abs().sum() > 0
    assert gradients(outputs, end).abs().sum() > 0


def test_the_config_says_whether_labels_are_independent() -> None:
    model: Any = SimpleNamespace(config=SimpleNamespace(problem_type="multi_label_classification"))
    assert is_multi_label(model)
    assert not is_multi_label(SimpleNamespace(config=SimpleNamespace(problem_type=None)))  # type: ignore[arg-type]
