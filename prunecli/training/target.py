"""The budget of a run: prices, what of them may stay, and the masks that spend exactly that."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prunecli.errors import InputError
from prunecli.inference.sublayer_times import Shape, table_for
from prunecli.masks import prices
from prunecli.masks.allocation import choose, width_multiples
from prunecli.masks.latency_table import latency_prices
from prunecli.masks.prices import Prices
from prunecli.models.loading import longest_input
from prunecli.training.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """What the kept units may cost.

    Attributes:
        prices: The price of every width.
        share: Of the dense price.
        multiples: By group, what kept widths shall be multiples of.
    """

    prices: Prices
    share: float
    multiples: Mapping[str, int]

    def masks(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Return the masks [layers, units] of least loss for a share of the dense price."""
        arrays = {group: score_LU.detach().double().cpu().numpy() for group, score_LU in scores.items()}
        chosen = choose(arrays, self.prices, share * self.prices.dense, self.multiples)
        return {group: torch.from_numpy(mask).to(scores[group]) for group, mask in chosen.items()}

    def by_chance(self, chances: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the bool masks that meet the budget exactly and keep the gates most likely open."""
        worth = {
            group: chance_LU * self.unit_prices(group, chance_LU) for group, chance_LU in chances.items()
        }
        return {group: mask_LU.bool() for group, mask_LU in self.masks(worth, self.share).items()}

    def unit_prices(self, group: str, like: Tensor) -> Tensor:
        """Return the mean price of a unit of each layer, [layers, 1]."""
        return torch.from_numpy(np.diff(self.prices.tables[group]).mean(1, keepdims=True).clip(1e-12)).to(
            like
        )


def target_of(session: Session) -> Target | None:
    """Return the budget that a run was asked to meet, if any.

    Raises:
        InputError: Several targets were given, or groups that have no price of their own.
    """
    config, encoder = session.config, session.loaded.encoder
    asked = {
        "--target-flops": config.target_flops,
        "--target-params": config.target_params,
        "--target-speedup": config.target_speedup,
        "--sweep": config.sweep,
    }
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other", "keep one of them")
    if not given:
        return None
    whole = config.groups == ("layer",)
    unpriced = [group for group in config.groups if group not in prices.GROUPS and not whole]
    if unpriced:
        raise InputError(
            f"--learn-masks {unpriced[0]} cannot be learned under a target: what it costs depends on the others",
            f"learn {' and '.join(prices.GROUPS)}, or layer alone, or drop the target",
        )
    if config.target_speedup is not None:
        everything, share = _milliseconds(session), 1 / config.target_speedup
    elif config.target_params is not None:
        everything, share = prices.parameters(encoder), config.target_params
    else:
        everything = prices.flops(encoder, session.features.mean_length)
        share = config.target_flops or config.shares[0]
    everything = everything.of_layers() if whole else everything.only(config.groups)
    return Target(everything, share, width_multiples(encoder, config.round_to))


def _milliseconds(session: Session) -> Prices:
    """Return measured times of every width: from the cache, else measured now."""
    batch_size, _, tokens = session.config.speedup_at.partition("x")
    if not (batch_size.isdigit() and tokens.isdigit() and int(batch_size) and int(tokens)):
        raise InputError(
            f"--speedup-at {session.config.speedup_at!r} is no batch size and tokens", "write 8x128, say"
        )
    session.progress("measuring sublayers", 0, 1)
    allowed = longest_input(session.loaded.model, session.loaded.encoder)
    if int(tokens) > allowed:
        log.warning("times are measured at %d tokens, the most that the model takes", allowed)
    shape = Shape(int(batch_size), min(int(tokens), allowed))
    table = table_for(session.checkpoint, shape, session.arguments.device)
    return latency_prices(session.loaded.encoder, table)
