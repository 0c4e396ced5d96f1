"""The budget of a run: prices, what of them may stay, and the masks that spend exactly that."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor

from prunecli.calibration.precision import wide
from prunecli.errors import InputError
from prunecli.inference.sublayer_times import Shape, table_for, time_share
from prunecli.masks import MaskSet, prices
from prunecli.masks.allocation import choose, fast_multiples, width_multiples
from prunecli.masks.latency_table import latency_prices
from prunecli.masks.prices import Prices
from prunecli.masks.units import mask_shape
from prunecli.models.loading import longest_input
from prunecli.training.session import Session

log = logging.getLogger(__name__)

SLOWER, FASTER = 0.02, 0.05  # than what was asked, as shares of it: no timing is better
MOST = 1.25  # a larger correction is not the table's fault but the machine's load


@dataclass(frozen=True, slots=True)
class Target:
    """What the kept units may cost.

    Attributes:
        prices: The price of every width.
        share: Of the dense price.
        multiples: By group, what kept widths shall be multiples of.
        timed: Times the cut model beside the dense one and returns its share; None where prices are counted.
    """

    prices: Prices
    share: float
    multiples: Mapping[str, int]
    timed: Callable[[MaskSet], float] | None = None

    def masks_in_time(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Return the masks for a share, and where that is of time, those for what the table should have said.

        A table of sublayers knows nothing of caches that a small model fits into, and is off by some percent: the cut
        model is timed once, and the budget corrected by what that shows.
        """
        masks = self.masks(scores, share)
        if self.timed is None:
            return masks
        measured = self.timed(MaskSet({group: mask.cpu().numpy() for group, mask in masks.items()}))
        log.info("the cut model takes %.1f %% of the time, %.1f %% were asked", 100 * measured, 100 * share)
        if -FASTER <= measured / share - 1 <= SLOWER:
            return masks
        correction = share / measured
        if not 1 / MOST <= correction <= MOST:
            log.warning("that is far off: the budget is corrected by a factor of %.2f only", MOST)
            correction = min(max(correction, 1 / MOST), MOST)
        corrected = min(share * correction, 1.0)
        log.info("chosen again, for %.1f %% by the table", 100 * corrected)
        try:
            return self.masks(scores, corrected)
        except InputError as error:
            log.warning("the first choice stays, since there is none for that: %s", error.message)
            return masks

    def masks(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Return the masks [layers, units] of least loss for a share of the dense price."""
        arrays = {group: wide(score_LU.detach()).cpu().numpy() for group, score_LU in scores.items()}
        chosen = choose(arrays, self.prices, share * self.prices.dense, self.multiples)
        return {group: torch.from_numpy(mask).to(scores[group]) for group, mask in chosen.items()}

    def by_chance(self, chances: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the bool masks that meet the budget exactly and keep the gates most likely open."""
        if "hidden" in chances:
            return self._narrowed(chances)
        worth = {
            group: chance_LU * torch.from_numpy(self.prices.of_units(group)).to(chance_LU)
            for group, chance_LU in chances.items()
        }
        return {group: mask_LU.bool() for group, mask_LU in self.masks_in_time(worth, self.share).items()}

    def _narrowed(self, chances: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Decide how many hidden dimensions stay, then which units at the prices that they have there."""
        hidden_1H, units = chances["hidden"], {group: chances[group] for group in self.prices.tables}
        wide = self._dimensions(float(hidden_1H.detach().sum()))
        prices = self.prices.at(wide)
        share = self.share * self.prices.dense / prices.dense
        masks = replace(self, prices=prices, share=share).by_chance(units) if units else {}
        stays_1H = torch.zeros_like(hidden_1H, dtype=torch.bool)
        stays_1H[0, hidden_1H[0].topk(wide).indices] = True
        return {**masks, "hidden": stays_1H}

    def _dimensions(self, expected: float) -> int:
        """Return the number of hidden dimensions next to what is expected that the budget can pay for and be spent on.

        Raises:
            InputError: It pays for none.
        """
        whole, narrow, budget = self.prices, self.prices.narrow, self.share * self.prices.dense
        assert narrow is not None
        most = least = whole.hidden
        bare, barest = self._with_one_unit(whole), self._with_one_unit(narrow)
        if bare > barest:  # more cannot be paid for, even with a single unit
            most = math.floor(whole.hidden * (budget - barest) / (bare - barest) + 1e-9)
        if whole.dense > budget:  # with all units, fewer would leave some of it
            least = math.ceil(whole.hidden * (budget - narrow.dense) / (whole.dense - narrow.dense))
        step = self.multiples.get("hidden", 1)
        wide = min(max(round(expected), least), most, whole.hidden)
        wide = wide if wide == whole.hidden else wide // step * step
        if wide < 1:
            raise InputError(
                f"{self.share:.1%} of the dense encoder's {whole.unit} leave no hidden dimension",
                "keep more of it",
            )
        return wide

    def _with_one_unit(self, prices: Prices) -> float:
        """Return what is left to pay where all units have gone but the cheapest that may stay alone."""
        least = {
            group: min(self.multiples.get(group, 1), table.shape[1] - 1)
            for group, table in prices.tables.items()
        }
        alone = (
            float((table[:, least[group]] - table[:, 0]).min()) for group, table in prices.tables.items()
        )
        return prices.fixed + min(alone, default=0.0)


def target_of(session: Session) -> Target | None:
    """Return the budget that a run was asked to meet, if any.

    Raises:
        InputError: Nothing can be that cheap, which is said before hours of training.
    """
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
    timed = partial(measured_share, session) if config.target_speedup is not None else None
    target = Target(everything.only(config.groups), share, _multiples(session), timed)
    even = {group: torch.ones(mask_shape(encoder, group)) for group in config.groups}
    lowest = replace(target, share=min(config.shares) if config.sweep else share, timed=None)
    lowest.by_chance(even)  # raises where nothing can be that cheap
    return target


def _multiples(session: Session) -> dict[str, int]:
    """Return what widths shall be multiples of: what was asked for, else what is fast where time is the price."""
    config, encoder = session.config, session.loaded.encoder
    if config.round_to is None and config.target_speedup is not None:
        multiples = fast_multiples(encoder, session.arguments.device.type)
        if multiples:
            log.info("neurons come by %d: --round-to says otherwise", multiples["ffn_int"])
        return multiples
    return width_multiples(encoder, config.round_to or 1)


def measured_share(session: Session, masks: MaskSet) -> float:
    """Time the cut model beside the dense one, in turn, and return its share of the time; the first process's."""
    found = [time_share(session.checkpoint, masks, _shape(session), session.arguments.device)]
    return float(broadcast_object_list(found)[0])


def _milliseconds(session: Session) -> Prices:
    """Return measured times of every width: from the cache, else measured now."""
    session.progress("measuring sublayers", 0, 1)
    shape = _shape(session)
    if shape.tokens < session.config.speedup_shape[1]:
        log.warning("times are measured at %d tokens, the most that the model takes", shape.tokens)
    with PartialState().main_process_first():  # the others read what it measured: masks must be the same
        table = table_for(session.checkpoint, shape, session.arguments.device)
    return latency_prices(session.loaded.encoder, table)


def _shape(session: Session) -> Shape:
    """Return the batch that --target-speedup is about; its tokens are no more than the model takes."""
    batch_size, tokens = session.config.speedup_shape
    allowed = longest_input(session.loaded.model, session.loaded.encoder)
    return Shape(batch_size, min(tokens, allowed))
