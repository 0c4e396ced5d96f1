"""The budget of a run: prices, what of them may stay, and the masks that spend exactly that."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from prunecli.inference.sublayer_times import Shape, table_for, time_share
from prunecli.masks import MaskSet, prices
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
            group: chance_LU * torch.from_numpy(self.prices.of_units(group)).to(chance_LU)
            for group, chance_LU in chances.items()
        }
        return {group: mask_LU.bool() for group, mask_LU in self.masks(worth, self.share).items()}


def target_of(session: Session) -> Target | None:
    """Return the budget that a run was asked to meet, if any."""
    config, encoder = session.config, session.loaded.encoder
    if not config.under_target:
        return None
    if config.target_speedup is not None:
        everything, share = _milliseconds(session), 1 / config.target_speedup
    elif config.target_params is not None:
        everything, share = prices.parameters(encoder), config.target_params
    else:
        everything = prices.flops(encoder, session.features.mean_length)
        share = config.target_flops or (config.shares[0] if config.sweep else 1.0)
    return Target(everything.only(config.groups), share, width_multiples(encoder, config.round_to))


def measured_share(session: Session, masks: MaskSet) -> float:
    """Time the cut model beside the dense one, in turn, and return its share of the time."""
    return time_share(session.checkpoint, masks, _shape(session), session.arguments.device)


def _milliseconds(session: Session) -> Prices:
    """Return measured times of every width: from the cache, else measured now."""
    session.progress("measuring sublayers", 0, 1)
    table = table_for(session.checkpoint, _shape(session), session.arguments.device)
    return latency_prices(session.loaded.encoder, table)


def _shape(session: Session) -> Shape:
    """Return the batch that --target-speedup is about; its tokens are no more than the model takes."""
    batch_size, tokens = session.config.speedup_shape
    allowed = longest_input(session.loaded.model, session.loaded.encoder)
    if tokens > allowed:
        log.warning("times are measured at %d tokens, the most that the model takes", allowed)
    return Shape(batch_size, min(tokens, allowed))
