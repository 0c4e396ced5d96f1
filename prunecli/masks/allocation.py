"""Which units stay under a budget: the least loss for the price.

A score is the loss that removing a unit adds, so a sublayer that keeps its k best units loses the sum of the others'
scores. For a given exchange rate between loss and price, every sublayer picks its best k on its own
(Everett 1963, generalised Lagrange multipliers); bisection finds the rate at which the sum of prices meets
the budget, and a last pass spends what is left. Prices need not be linear: a table of measured times will do.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prunecli.encoders import Encoder
from prunecli.errors import NothingLeftError
from prunecli.masks.mask_set import Array
from prunecli.masks.prices import UNITS, Prices

FEWEST_WIDTHS = 16
BISECTIONS = 200  # of the exchange rate, whose logarithm starts within +-700: to the last bit of a double


@dataclass(frozen=True, slots=True)
class _Curve:
    """One sublayer: loss and price at each width that is allowed, ascending."""

    group: str
    layer: int
    widths: npt.NDArray[np.intp]
    losses: npt.NDArray[np.float64]
    prices: npt.NDArray[np.float64]


def choose(
    scores: Mapping[str, Array], prices: Prices, budget: float, multiples: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """Choose the masks of least loss whose price does not exceed a budget.

    Args:
        scores: [layers, units] a group: what the loss gains when the unit goes; below zero: it has gone already.
        prices: The price of every width.
        budget: What the kept units may cost together, in the unit of `prices`.
        multiples: By group, what kept widths shall be multiples of; empty and full layers are always allowed.

    Returns:
        float32 masks [layers, units] of zeros and ones by group.

    Raises:
        NothingLeftError: Not even an encoder without any unit fits, or nothing would be left of it.
    """
    curves = list(_curves(scores, prices, multiples or {}))
    at = _allocate(curves, budget - prices.fixed) if budget > prices.fixed else [0 for _ in curves]
    if not any(curve.widths[level] for curve, level in zip(curves, at, strict=True)):
        raise _nothing_left(curves, prices, budget)
    masks = {group: np.zeros(score.shape, dtype=np.float32) for group, score in scores.items()}
    for curve, level in zip(curves, at, strict=True):
        best = np.argsort(-scores[curve.group][curve.layer], kind="stable")
        masks[curve.group][curve.layer][best[: curve.widths[level]]] = 1.0
    return masks


def _nothing_left(curves: list[_Curve], prices: Prices, budget: float) -> NothingLeftError:
    """Return the error that says what the least is that keeps anything."""
    cheapest = min((float(curve.prices[1]) for curve in curves if len(curve.prices) > 1), default=0.0)
    least, fixed = (prices.fixed + cheapest) / prices.dense, prices.fixed / prices.dense
    said = f" ({fixed:.1%} cannot be cut)" if fixed > 0.001 else ""
    share = f"{budget / prices.dense:.1%} of the dense encoder's {UNITS[prices.unit]}"
    more = f"ask for {math.ceil(100 * least) / 100:g} or more, or let other groups go, too"
    return NothingLeftError(
        f"{share} pay for no unit: the least that keeps one is {least:.1%}{said}",
        f"at most {1 / least:.2f} times as fast can be asked for" if prices.unit == "ms" else more,
    )


def width_multiples(encoder: Encoder, multiple: int) -> dict[str, int]:
    """Return how many heads, neurons and hidden dimensions make widths, in columns, a multiple."""
    heads = multiple // math.gcd(multiple, encoder.head_size)
    return {"head": heads, "ffn_int": multiple, "hidden": multiple}


def fast_multiples(encoder: Encoder, device_type: str) -> dict[str, int]:
    """Return the multiples that matrix products are fast at; none where they would leave few widths to choose from.

    Heads are 32 or 64 columns wide as they are.
    """
    columns = 64 if device_type == "cuda" else 32
    return {"ffn_int": columns} if encoder.intermediate >= FEWEST_WIDTHS * columns else {}


def _curves(scores: Mapping[str, Array], prices: Prices, multiples: Mapping[str, int]) -> Iterator[_Curve]:
    for group, score_LU in scores.items():
        for layer, score_U in enumerate(score_LU):
            left = int(np.count_nonzero(score_U >= 0))
            every = np.arange(score_U.size + 1)
            allowed = (every % multiples.get(group, 1) == 0) | (every == score_U.size)
            widths = every[allowed & (every <= left)]
            ascending = np.sort(score_U[score_U >= 0].astype(np.float64))
            lost = np.concatenate([[0.0], np.cumsum(ascending)])[::-1]  # lost[k]: all but the k best are gone
            yield _Curve(group, layer, widths, lost[widths], prices.tables[group][layer][widths])


def _allocate(curves: list[_Curve], budget: float) -> list[int]:
    """Return the level of each curve: an index into its widths."""
    low, high = -700.0, 700.0  # logarithm of the loss that one unit of price is worth
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _price(curves, _cheapest(curves, math.exp(middle))) > budget:
            low = middle
        else:
            high = middle
    at = _cheapest(curves, math.exp(high))
    left = budget - _price(curves, at)
    while (step := _best_step(curves, at, left)) is not None:
        number, level = step
        left -= float(curves[number].prices[level] - curves[number].prices[at[number]])
        at[number] = level
    return at


def _cheapest(curves: list[_Curve], rate: float) -> list[int]:
    return [int(np.argmin(curve.losses + rate * curve.prices)) for curve in curves]


def _price(curves: list[_Curve], at: list[int]) -> float:
    return sum(float(curve.prices[level]) for curve, level in zip(curves, at, strict=True))


def _best_step(curves: list[_Curve], at: list[int], left: float) -> tuple[int, int] | None:
    """Return the one widening that saves most loss for its price among those that can still be paid."""
    best, found = 0.0, None
    for number, (curve, level) in enumerate(zip(curves, at, strict=True)):
        extra = curve.prices[level + 1 :] - curve.prices[level]
        gain = curve.losses[level] - curve.losses[level + 1 :]
        worth = np.where((extra <= left) & (gain >= 0), (gain + 1e-300) / np.maximum(extra, 1e-9), 0.0)
        if worth.size and worth.max() > best:
            best, found = float(worth.max()), (number, level + 1 + int(worth.argmax()))
    return found
