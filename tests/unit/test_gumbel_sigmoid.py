"""The relaxation is the binary concrete distribution, whatever the temperature and precision."""

import math

import pytest
import torch

from prunecli import methods
from prunecli.errors import InputError

METHOD = methods.get("gumbel-sigmoid")
DRAWS = 20_000


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("logit", [-2.0, 0.0, 1.0])
def test_a_sample_is_open_with_probability_sigmoid_of_the_logit(logit: float, temperature: float) -> None:
    open_share = (METHOD.sample(torch.full((DRAWS,), logit), temperature) > 0.5).float().mean().item()
    expected = 1 / (1 + math.exp(-logit))
    assert abs(open_share - expected) < 4 * math.sqrt(expected * (1 - expected) / DRAWS)


def test_samples_get_binary_as_the_temperature_falls() -> None:
    undecided = []
    for temperature in (5.0, 1.0, 0.1):
        gates = METHOD.sample(torch.randn(DRAWS), temperature)
        undecided.append(((gates > 0.05) & (gates < 0.95)).float().mean().item())
    assert undecided[0] > 0.95
    assert undecided[0] > undecided[1] > undecided[2]
    assert undecided[2] < 0.15


def test_the_noise_is_logistic_with_mean_zero() -> None:
    noise = torch.logit(METHOD.sample(torch.zeros(DRAWS, dtype=torch.float64), 1.0).double())
    deviation = math.pi / math.sqrt(3)
    assert abs(noise.mean().item()) < 4 * deviation / math.sqrt(DRAWS)
    assert abs(noise.std().item() - deviation) < 0.1


def test_the_temperature_divides_logit_and_noise_together() -> None:
    logits = torch.randn(DRAWS)
    torch.manual_seed(1)
    warm = torch.logit(METHOD.sample(logits, 4.0).double())
    torch.manual_seed(1)
    cold = torch.logit(METHOD.sample(logits, 2.0).double())
    assert torch.allclose(cold, 2 * warm, atol=1e-3)


def test_samples_stay_finite_and_inside_the_unit_interval() -> None:
    gates = METHOD.sample(torch.tensor([-50.0, 0.0, 50.0]).repeat(DRAWS), 0.1)
    assert torch.isfinite(gates).all()
    assert (gates >= 0).all()
    assert (gates <= 1).all()


def test_the_gradient_flows_to_every_logit() -> None:
    logits = torch.randn(3, 5, requires_grad=True)
    METHOD.sample(logits, 1.0).sum().backward()
    assert logits.grad is not None
    assert (logits.grad > 0).all()


def test_samples_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        logits = torch.nn.Parameter(torch.zeros(8)) * 1
        assert METHOD.sample(logits, 1.0).dtype == torch.float32
        assert METHOD.sample(logits.bfloat16(), 1.0).dtype == torch.float32


def test_the_noise_is_drawn_in_float32_for_half_precision_logits() -> None:
    gates = METHOD.sample(torch.zeros(DRAWS, dtype=torch.bfloat16), 1.0)
    assert gates.unique().numel() > DRAWS / 2  # bfloat16 knows 256 values between 0.5 and 1 at most
    assert gates.max() < 1


def test_the_decision_is_the_likelier_side() -> None:
    assert METHOD.decide(torch.tensor([-3.0, -1e-6, 0.0, 1e-6, 3.0])).tolist() == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_the_entropy_equals_the_formula() -> None:
    logits = torch.linspace(-8, 8, 101, dtype=torch.float64)
    p = torch.sigmoid(logits)
    naive = -p * p.log() - (1 - p) * (1 - p).log()
    assert METHOD.penalties(logits)["quantization"].item() == pytest.approx(naive.mean().item(), rel=1e-9)


def test_the_entropy_of_certain_gates_is_zero_with_a_finite_gradient() -> None:
    logits = torch.tensor([-200.0, 200.0], requires_grad=True)
    entropy = METHOD.penalties(logits)["quantization"]
    entropy.backward()
    assert entropy.item() == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_undecided_gates_cost_ln_2_and_half_open() -> None:
    found = METHOD.penalties(torch.zeros(4, 7))
    assert found["quantization"].item() == pytest.approx(math.log(2))
    assert found["sparsity"].item() == 0.5


@pytest.mark.parametrize("how", ["open", "randn"])
def test_the_first_logits_have_the_shape_and_follow_the_seed(how: str) -> None:
    first, again = METHOD.start((3, 5), how, 7), METHOD.start((3, 5), how, 7)
    assert first.shape == (3, 5)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)


def test_open_gates_start_open_and_random_ones_differ_by_seed() -> None:
    assert METHOD.decide(METHOD.start((3, 5), "open", 0)).all()
    assert not torch.equal(METHOD.start((3, 5), "randn", 0), METHOD.start((3, 5), "randn", 1))


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(InputError, match="--method 'gumbel-sigmoi' is not known") as raised:
        methods.get("gumbel-sigmoi")
    assert raised.value.fix == "did you mean gumbel-sigmoid?"


@pytest.mark.parametrize("name", ["", "base", "../gumbel_sigmoid"])
def test_what_is_no_method_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not known"):
        methods.get(name)
