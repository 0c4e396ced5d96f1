r"""Gumbel-Sigmoid gates: the binary concrete distribution with an annealed temperature.

    y = sigmoid((logits + log u - log(1 - u)) / T),  u ~ Uniform(0, 1)

The noise log u - log(1-u) is logistic: the difference of two Gumbel variables, mean zero. Dividing the *sum*
by T makes samples soft at T = 5 and nearly binary at T = 0.1, while P(y > 0.5) = sigmoid(logits) at any T,
so the decision sigmoid(logits) >= 0.5 is the sample's most likely side.
"""

import torch
from torch import Tensor
from torch.nn import functional

from prunecli.methods.base import OPEN, GateMethod

CLAMP = 1e-6  # keeps the noise within +-13.8


def start(shape: tuple[int, int], how: str, seed: int) -> Tensor:
    """Draw or set the first logits."""
    if how == "open":
        return torch.full(shape, OPEN)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sample(logits: Tensor, temperature: float) -> Tensor:
    """Draw relaxed gates, in float32 whatever the surrounding precision."""
    u = torch.rand_like(logits, dtype=torch.float32).clamp_(CLAMP, 1 - CLAMP)
    return torch.sigmoid((logits.float() + torch.logit(u)) / temperature)


def decide(logits: Tensor) -> Tensor:
    """Keep the units whose gate is more likely open than closed."""
    return logits >= 0  # sigmoid(logits) >= 0.5


def penalties(logits: Tensor) -> dict[str, Tensor]:
    """Return the mean gate (what sparsity costs) and the mean binary entropy (what indecision costs), in nats."""
    probability = torch.sigmoid(logits)
    # -p log p - (1-p) log(1-p), written with softplus so that it stays exact for large logits.
    entropy = probability * functional.softplus(-logits) + (1 - probability) * functional.softplus(logits)
    return {"sparsity": probability.mean(), "quantization": entropy.mean()}


METHOD = GateMethod(
    paper="Maddison et al. 2017, https://arxiv.org/abs/1611.00712; Jang et al. 2017, https://arxiv.org/abs/1611.01144",
    start=start,
    sample=sample,
    open_probability=torch.sigmoid,
    decide=decide,
    penalties=penalties,
    anneals=True,
)
