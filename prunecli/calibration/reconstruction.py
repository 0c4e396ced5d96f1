r"""Refit what is left of each sublayer to what the dense one did; closed form, no labels, no gradient step.

Bottom up, with X what the output linear reads in the *pruned* model, Y the dense model's residual stream after the
sublayer less the pruned model's before it, and W the old weights and bias of the kept columns:

    W* = argmin |X W - Y|^2 + lambda |W - W_old|^2 = (X'X + lambda I)^-1 (X'Y + lambda W_old)

so each sublayer also mends what those below it lost (K-prune, Park et al. 2024, https://arxiv.org/abs/2308.03449, with
a ridge towards the old weights). A sublayer is refitted only where that brings predictions on other examples closer to
the dense model's.

Shapes: B batch, T tokens, M tokens that count, H hidden, N columns, K kept columns, K1 the same and a one for the bias.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prunecli.calibration.backward import backward_passes
from prunecli.calibration.directions import counted, directions, is_multi_label
from prunecli.calibration.divergence import divergence
from prunecli.calibration.layerwise import Stream, record_calls
from prunecli.calibration.precision import narrow, wide
from prunecli.calibration.sublayers import Batch, expand, linear_of, sublayers
from prunecli.encoders import Encoder
from prunecli.masks.units import Touch

RIDGE = 1e-2  # lambda, as a share of the mean of X'X's diagonal


class Dense:
    """The model as it was, and what it does with the calibration examples; one serves many masks.

    Args:
        model: The dense model, without gates.
        encoder: Its table and sizes.
        batches: Inputs to fit to.
        held_out: Inputs that decide whether a sublayer keeps its new weights.

    Raises:
        UnsupportedModelError: The layers are no plain chain.
    """

    @torch.no_grad()
    def __init__(
        self, model: nn.Module, encoder: Encoder, batches: Sequence[Batch], held_out: Sequence[Batch]
    ) -> None:
        self.model, self.encoder = model, encoder
        self.calls = record_calls(model, encoder, batches)
        self.needed = _needed_tokens(model, encoder, batches)
        self.held_out, self.predictions = held_out, [model(**batch) for batch in held_out]
        self.multi_label = is_multi_label(model)

    @torch.no_grad()
    def distance(self, other: nn.Module) -> float:
        """Return the mean divergence of another model's predictions on the held-out examples."""
        pairs = zip(self.held_out, self.predictions, strict=True)
        each = [
            divergence(other(**batch), wanted, self.multi_label, counted(batch)) for batch, wanted in pairs
        ]
        distance = float(torch.stack(each).mean())
        return max(distance, 0.0) if math.isfinite(distance) else math.inf


@torch.no_grad()
def reconstruct(dense: Dense, pruned: nn.Module, kept: dict[str, Tensor]) -> tuple[float, float]:
    """Refit the output linears of a gated model in place.

    Args:
        dense: The model as it was.
        pruned: The same with gates on it, set to the masks; kept columns and biases of output linears change.
        kept: Masks [layers, units] by group.

    Returns:
        Mean divergence from the dense model on the held-out examples, before and after.
    """
    best = before = dense.distance(pruned)
    mine, whole = (Stream(model, dense.encoder, dense.calls) for model in (pruned, dense.model))
    for layer in range(dense.encoder.layers):
        wanted = [whole.run(layer, number) for number in range(len(whole.hidden))]
        gone = "layer" in kept and not kept["layer"][layer].any()
        for part, place in enumerate([] if gone else mine.places[layer]):
            linear, columns_N = linear_of(pruned, place), _columns(kept, place, linear_of(pruned, place))
            moments = _Moments(int(columns_N.sum()), linear)
            for number, (streams, _, plain_sum) in enumerate(wanted):
                needed_BT = dense.needed[place][number]
                read_BTN, residual_BTH = mine.before(layer, number, part, plain_sum)
                target_BTH = streams[part] - residual_BTH
                moments.add(read_BTN[needed_BT][:, columns_N], target_BTH[needed_BT])
            best = _offer(dense, pruned, linear, columns_N, moments.solve(linear, columns_N), best)
        whole.hidden = [output for _, output, _ in wanted]
        mine.hidden = [mine.run(layer, number)[1] for number in range(len(mine.hidden))]
    return before, best


def _offer(
    dense: Dense, pruned: nn.Module, linear: nn.Linear, columns_N: Tensor, fitted_HK1: Tensor, best: float
) -> float:
    """Give a linear new weights and keep them if predictions come closer; return how close they are then."""
    old = {name: parameter.clone() for name, parameter in linear.named_parameters()}
    linear.weight[:, columns_N] = fitted_HK1[:, : int(columns_N.sum())]
    if linear.bias is not None:
        linear.bias.copy_(fitted_HK1[:, -1])
    distance = dense.distance(pruned)
    if distance < best:
        return distance
    for name, parameter in linear.named_parameters():
        parameter.copy_(old[name])
    return best


class _Moments:
    """X'X and X'Y of a least-squares fit, in float64, with a column of ones where the linear has a bias."""

    def __init__(self, columns: int, linear: nn.Linear) -> None:
        self.ones = int(linear.bias is not None)
        new = linear.weight.new_zeros
        self.xx = wide(new(columns + self.ones, columns + self.ones))
        self.xy = wide(new(columns + self.ones, linear.out_features))

    def add(self, x_MK: Tensor, y_MH: Tensor) -> None:
        """Add a batch of rows."""
        x_MK1 = torch.cat([x_MK, x_MK.new_ones(len(x_MK), self.ones)], 1)
        self.xx += wide(x_MK1.T @ x_MK1)
        self.xy += wide(x_MK1.T @ y_MH)

    def solve(self, linear: nn.Linear, columns_N: Tensor) -> Tensor:
        """Return weights and bias [H, K1] that fit best, near those of the linear."""
        old_HK = linear.weight[:, columns_N]
        old_HK1 = old_HK if linear.bias is None else torch.cat([old_HK, linear.bias[:, None]], 1)
        squares_K = self.xx.diagonal()[: old_HK.shape[1]]
        ridge_K1 = torch.full_like(
            self.xx.diagonal(), RIDGE * float(squares_K.sum()) / max(len(squares_K), 1)
        )
        if self.ones:
            ridge_K1[-1] = 0.0  # the bias may go where it has to
        system = self.xx + torch.diag(ridge_K1 + 1e-12)
        fitted_K1H = torch.linalg.solve(system, self.xy + ridge_K1[:, None] * wide(old_HK1.T))
        return narrow(fitted_K1H.T, linear.weight)


def _columns(kept: dict[str, Tensor], place: Touch, linear: nn.Linear) -> Tensor:
    """Return which columns [N] of an output linear stay: all of them where the group loses no unit."""
    if place.group not in kept:
        return torch.ones(linear.in_features, dtype=torch.bool, device=linear.weight.device)
    return expand(kept[place.group][place.layer].bool(), place)


def _needed_tokens(dense: nn.Module, encoder: Encoder, batches: Sequence[Batch]) -> dict[Touch, list[Tensor]]:
    """Say of each token [B, T] of each batch whether predictions depend on what a sublayer writes for it.

    The last layer of a classifier counts for the first token alone: a fit to the others would only cost.
    """
    generator, multi_label = torch.Generator().manual_seed(0), is_multi_label(dense)

    def scalars(outputs: object, number: int) -> list[Tensor]:
        return [next(directions(outputs, multi_label, counted(batches[number]), generator))]

    needed: dict[Touch, list[Tensor]] = {place: [] for place in sublayers(encoder)}
    for seen in backward_passes(dense, encoder, batches, scalars):
        needed[seen.place].append(seen.gradients_DBTH[0].any(-1) & seen.real_BT)
    return needed
