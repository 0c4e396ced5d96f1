r"""Hard-concrete gates: stretched, clipped binary concrete variables, which are exactly zero with a known probability.

    s = sigmoid((log u - log(1 - u) + a) / beta),   z = clamp(s (zeta - gamma) + gamma, 0, 1)
    P(z > 0) = sigmoid(a - beta log(-gamma / zeta))

Training sees exact zeros, so what the decisions remove has been missing before. The expected number of open gates is
differentiable, which is what a budget needs.
"""

import math

import torch
from torch import Tensor

from prunecli.methods.base import GateMethod
from prunecli.methods.gumbel_sigmoid import CLAMP, start

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
SHIFT = BETA * math.log(-GAMMA / ZETA)


def sample(logits: Tensor, temperature: float) -> Tensor:
    """Draw gates in [0, 1], in float32; the temperature is beta, constant, whatever the schedule says."""
    u = torch.rand_like(logits, dtype=torch.float32).clamp_(CLAMP, 1 - CLAMP)
    stretched = torch.sigmoid((logits.float() + torch.logit(u)) / BETA) * (ZETA - GAMMA) + GAMMA
    return stretched.clamp(0, 1)


def open_probability(logits: Tensor) -> Tensor:
    """Return P(z > 0)."""
    return torch.sigmoid(logits - SHIFT)


def decide(logits: Tensor) -> Tensor:
    """Keep the units whose gate is more likely open than shut."""
    return logits >= SHIFT


def penalties(logits: Tensor) -> dict[str, Tensor]:
    """Return the expected share of open gates: the L0 norm. Indecision needs no price here."""
    return {"sparsity": open_probability(logits).mean()}


METHOD = GateMethod(
    paper="Louizos et al. 2018, https://arxiv.org/abs/1712.01312; Xia et al. 2022, https://arxiv.org/abs/2204.00408",
    start=start,
    sample=sample,
    open_probability=open_probability,
    decide=decide,
    penalties=penalties,
)
