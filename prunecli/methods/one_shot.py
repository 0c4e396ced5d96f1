r"""Optimal brain surgeon for whole sublayers, in the metric of the model's own predictions; no labels, no training.

A sublayer's output linear W reads x and writes y = W x. With H = E[x x'] and G = E[g g'], g the gradient of the
predictions by y, removing columns S and refitting the others to their best costs, to second order,

    1/2 tr( (W_S' G W_S) ([H^-1]_SS)^-1 ),    after which  W <- W - W_S ([H^-1]_SS)^-1 [H^-1]_S:

Columns go one block after the other, the cheapest first (Hassibi & Stork 1993; groups of columns: ZipLM, Kurtic et al.
2023, https://arxiv.org/abs/2302.04089; the Kronecker-factored metric: van der Ouderaa et al. 2024,
https://arxiv.org/abs/2312.17244). What a unit's removal costs when its turn comes is its score, so scores
of all layers are in one unit, and sums of them are losses. Layers as a whole are scored by leaving them out.

Shapes: H hidden, N columns (units x width), U units, K columns that go together.
"""

import torch
from torch import Tensor

from prunecli.calibration.layer_removal import removal_costs
from prunecli.calibration.precision import narrow, wide
from prunecli.calibration.statistics import Statistics, gather
from prunecli.calibration.sublayers import expand, linear_of, sublayers
from prunecli.methods.base import Calibrated, ScoreMethod

DAMPING = 1e-2  # of the mean of H's diagonal: directions that the examples never showed stay put
BLOCKS = 192  # removals a layer; neurons go in groups of like cost, between two updates of H^-1


def score(model: Calibrated) -> dict[str, Tensor]:
    """Return the loss of each unit's removal, [layers, units] by group; -1 where it has gone already."""
    if "layer" in model.kept:
        return {"layer": removal_costs(model.model, model.encoder, model.batches, model.kept["layer"])}
    statistics = gather(model.model, model.encoder, model.batches, model.seed)
    scores = {group: torch.full_like(kept, -1.0) for group, kept in model.kept.items()}
    for place in sublayers(model.encoder):
        if place.group not in scores:
            continue
        kept_U = model.kept[place.group][place.layer].bool()
        if kept_U.any():
            columns = expand(kept_U, place)
            weight_HN = linear_of(model.model, place).weight.detach()[:, columns]
            errors_U = removal_errors(weight_HN, _only(statistics[place], columns), place.width)
            scores[place.group][place.layer][kept_U] = errors_U.to(scores[place.group].dtype)
    return scores


def removal_errors(weight_HN: Tensor, statistics: Statistics, width: int) -> Tensor:
    """Return for each unit [U] what its removal costs when its turn comes; never less than for those before it."""
    inverse_NN = _damped_inverse(statistics.inputs_NN)
    # tr(W' G W K) = |R W K^1/2|^2 with G = R' R, and updates of W are linear: so W enters as R W once and for all.
    values_H, vectors_HH = torch.linalg.eigh(wide(statistics.gradients_HH))
    root_HH = values_H.clamp_min(0).sqrt()[:, None] * vectors_HH.T
    rotated_HN = narrow(root_HH @ wide(weight_HN), weight_HN)
    errors_U = weight_HN.new_zeros(weight_HN.shape[1] // width)
    gone_U, reached = torch.zeros_like(errors_U, dtype=torch.bool), 0.0
    step = -(-len(errors_U) // BLOCKS)
    while not gone_U.all():
        cost_U = _costs(rotated_HN, inverse_NN, width).masked_fill(gone_U, torch.inf)
        going = torch.topk(cost_U, min(step, int((~gone_U).sum())), largest=False).indices
        errors_U[going] = torch.cummax(cost_U[going].clamp_min(reached), 0).values  # never below those before
        gone_U[going] = True
        reached = float(errors_U[going[-1]])
        columns = (going[:, None] * width + torch.arange(width, device=going.device)).flatten()
        _remove(rotated_HN, inverse_NN, columns)
    return errors_U


def _only(statistics: Statistics, columns: Tensor) -> Statistics:
    return Statistics(statistics.inputs_NN[columns][:, columns], statistics.gradients_HH)


def _damped_inverse(inputs_NN: Tensor) -> Tensor:
    damped_NN = wide(inputs_NN)
    damped_NN.diagonal().add_(DAMPING * damped_NN.diagonal().mean() + 1e-30)
    return narrow(torch.cholesky_inverse(torch.linalg.cholesky(damped_NN)), inputs_NN)


def _costs(rotated_HN: Tensor, inverse_NN: Tensor, width: int) -> Tensor:
    """Return what removing each unit would cost now."""
    if width == 1:
        return rotated_HN.square().sum(0) / inverse_NN.diagonal().clamp_min(1e-30)
    units = rotated_HN.shape[1] // width
    blocks_UWW = torch.stack([_square(inverse_NN, unit, width) for unit in range(units)])
    # What has gone leaves zeros behind; the identity keeps them invertible.
    empty_U = blocks_UWW.diagonal(dim1=1, dim2=2).amax(1) < 1e-20
    blocks_UWW[empty_U] = torch.eye(width, device=blocks_UWW.device)
    rotated_UHW = rotated_HN.reshape(-1, units, width).movedim(1, 0)
    costs_U: Tensor = (rotated_UHW * (rotated_UHW @ torch.linalg.inv(blocks_UWW))).sum((1, 2))
    return costs_U


def _square(matrix_NN: Tensor, unit: int, width: int) -> Tensor:
    return matrix_NN[unit * width : (unit + 1) * width, unit * width : (unit + 1) * width]


def _remove(rotated_HN: Tensor, inverse_NN: Tensor, columns: Tensor) -> None:
    """Take columns out of R W and H^-1 in place, the others taking over what they can of the work."""
    pivot_KK = narrow(torch.linalg.inv(wide(inverse_NN[columns][:, columns])), inverse_NN)
    share_KN = pivot_KK @ inverse_NN[columns]
    rotated_HN.addmm_(rotated_HN[:, columns], share_KN, alpha=-1)
    inverse_NN.addmm_(inverse_NN[:, columns], share_KN, alpha=-1)
    inverse_NN[columns], inverse_NN[:, columns] = 0.0, 0.0  # zero but for rounding


METHOD = ScoreMethod(
    paper="Kurtic et al. 2023, https://arxiv.org/abs/2302.04089; van der Ouderaa et al. 2024, "
    "https://arxiv.org/abs/2312.17244",
    score=score,
    reads="predictions",
    reach=1 / 2,
    layers=True,
)
