r"""Training gates until they cost what was asked: an augmented Lagrangian.

    loss + l (C - t) + r/2 (C - t)^2,   l <- l + a (C - t) after every step, from zero

C is the expected price of the open gates as a share of the dense price; t falls linearly from 1 to the target in the
first steps (Wang et al. 2020, https://arxiv.org/abs/1910.04732; CoFi, Xia et al. 2022, https://arxiv.org/abs/2204.00408).
Their two multipliers are learned by the optimizer of the gates, which moves them by about its rate in every step: a few
hundred steps see one swing far below the target and none back. Here the quadratic term holds the price from the
first step on, and the multiplier takes over what is left (Hestenes 1969, Powell 1969).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from prunecli.masks.prices import Prices

WARMUP = 0.3  # share of the steps in which the budget falls from 1 to the target
STIFFNESS = 100.0  # r: at a miss of one percent the price counts as much as a loss of one
RATE = 0.2  # a


class Lagrangian(nn.Module):
    """The term that the budget adds to the loss.

    Args:
        prices: The price of every width; linear in it.
        share: Of the dense price: the target.
    """

    def __init__(self, prices: Prices, share: float) -> None:
        super().__init__()
        self.multiplier: Tensor
        self.register_buffer("multiplier", torch.zeros(()))
        self.share, self.prices = share, prices
        self.progress = 0.0  # share of the learning steps done; a callback sets it

    def target(self) -> float:
        """Return what the budget is by now."""
        return 1.0 - (1.0 - self.share) * min(self.progress / WARMUP, 1.0)

    def expected(self, open_LU: Mapping[str, Tensor]) -> Tensor:
        """Return the expected price as a share of the dense one, from each gate's chance to be open."""
        price = _expected(self.prices, open_LU)
        if "hidden" in open_LU:
            assert self.prices.narrow is not None
            wide = open_LU["hidden"].mean()
            price = wide * price + (1 - wide) * _expected(self.prices.narrow, open_LU)
        return price / self.prices.dense

    def forward(self, open_LU: Mapping[str, Tensor]) -> Tensor:
        """Return the term to add to the loss."""
        miss = self.expected(open_LU) - self.target()
        term: Tensor = self.multiplier * miss + STIFFNESS / 2 * miss.square()
        return term

    @torch.no_grad()
    def step(self, open_LU: Mapping[str, Tensor]) -> None:
        """Move the multiplier by what is missed after an optimizer step, however many batches that had."""
        self.multiplier += RATE * (self.expected(open_LU) - self.target())


def _expected(prices: Prices, open_LU: Mapping[str, Tensor]) -> Tensor:
    """Return the expected price where all hidden dimensions stay; tables are linear or nearly so."""
    gone = torch.zeros(())
    for group in prices.tables:
        each_L1 = torch.from_numpy(prices.of_units(group)).to(open_LU[group])
        gone = gone.to(each_L1) + ((1 - open_LU[group]) * each_L1).sum()
    return prices.dense - gone
