r"""The empirical Fisher information of the gates, from labels (Kwon et al. 2022, https://arxiv.org/abs/2204.09656).

With g the derivative of a batch's loss by a sublayer's gates and I = sum over batches of g g', taking the units S
away costs, to second order, 1/2 1_S' I 1_S. They search on the diagonal of I, rearrange within each layer by the
whole of I, and fit a scale for each unit that is left. Here units go one after the other, each scored by what it
adds to those before it: the rearranged order at every width. The search is a knapsack by score and price over heads
and neurons together, and the refit that follows every method fits the whole output projection, not one scale a
unit.

Shapes: B examples, L layers, U units.
"""

import torch
from torch import Tensor

from prunecli.calibration.label_gradients import loss_by_gates
from prunecli.methods.base import Calibrated, ScoreMethod


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
    """Take units away, always the one that adds least; return what each added [U], never less than those before it."""
    added_U = torch.full_like(kept_U, -1.0)
    cost_U = torch.where(kept_U.bool(), information_UU.diagonal(), torch.inf)
    reached = 0.0
    for _ in range(int(kept_U.sum())):
        going = int(cost_U.argmin())
        reached = max(reached, float(cost_U[going]))
        added_U[going] = reached
        cost_U += 2 * information_UU[going]
        cost_U[going] = torch.inf
    return added_U


METHOD = ScoreMethod(paper="Kwon et al. 2022, https://arxiv.org/abs/2204.09656", score=score, reads="labels")
