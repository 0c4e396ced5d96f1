r"""The empirical Fisher information of the gates, from labels (Kwon et al. 2022, https://arxiv.org/abs/2204.09656).

With g the derivative of a batch's loss by a sublayer's gates and I = sum over batches of g g', taking the units S
away costs, to second order, 1/2 1_S' I 1_S. They search on the diagonal of I, rearrange within each layer by the
whole of I, and fit a scale for each unit that is left. Here units go one after the other, each scored by what it
adds to those before it: the rearranged order at every width. The search is a knapsack by score and price over heads
and neurons together, and the refit that follows every method fits the whole output projection, not one scale a
unit.

Shapes: B examples, L layers, U units.
"""

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from prunecli.calibration.label_gradients import loss_by_gates
from prunecli.calibration.precision import wide
from prunecli.methods.base import Calibrated, ScoreMethod

LEAST = 1e-6  # between scores, as a share of the largest


def score(model: Calibrated) -> dict[str, Tensor]:
    """Return what each unit adds to the loss when its turn comes [L, U], the cheapest first; -1 where it has gone."""
    information = {
        (group, layer): kept_U.new_zeros(len(kept_U), len(kept_U))
        for group, kept_LU in model.kept.items()
        for layer, kept_U in enumerate(kept_LU)
    }
    for place, by_gate_BU in loss_by_gates(model.model, model.encoder, model.batches, model.labels):
        if place.group in model.kept:
            sums_UU = information[place.group, place.layer]
            by_gate_U = by_gate_BU.sum(0).to(sums_UU)
            sums_UU.addr_(by_gate_U, by_gate_U)
    return {
        group: torch.stack(
            [added_losses(information[group, layer], kept_U) for layer, kept_U in enumerate(kept_LU)]
        )
        for group, kept_LU in model.kept.items()
    }


def added_losses(information_UU: Tensor, kept_U: Tensor) -> Tensor:
    """Take units away, always the one that adds least; return what each added [U], rising in the order they went.

    What units that add less than those before them add together is spread evenly over them: sums stay what they are.
    """
    information_UU = wide(information_UU)
    cost_U = torch.where(kept_U.bool().to(information_UU.device), information_UU.diagonal(), torch.inf)
    order, added = [], []
    for _ in range(int(kept_U.sum())):
        going = int(cost_U.argmin())
        order.append(going)
        added.append(float(cost_U[going]))
        cost_U += 2 * information_UU[going]
        cost_U[going] = torch.inf
    added_U = torch.full_like(kept_U, -1.0)
    if order:
        rising = isotonic_regression(added).x.clip(0)
        apart = LEAST * max(rising[-1], LEAST) * np.arange(1, len(order) + 1)  # ties keep the order
        added_U[order] = torch.from_numpy(rising + apart).to(added_U)
    return added_U


METHOD = ScoreMethod(paper="Kwon et al. 2022, https://arxiv.org/abs/2204.09656", score=score, reads="labels")
