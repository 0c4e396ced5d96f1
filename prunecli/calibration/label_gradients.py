"""Derivatives of the labelled loss by gates: what the baselines score by."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from prunecli.calibration.backward import backward_passes
from prunecli.calibration.sublayers import Batch
from prunecli.encoders import Encoder


def score_by_loss(
    model: nn.Module,
    encoder: Encoder,
    batches: Sequence[Batch],
    labels: Sequence[Mapping[str, Tensor]],
    kept: Mapping[str, Tensor],
    summary: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Return scores [layers, units] by group, -1 for units that have gone.

    Args:
        model: In evaluation mode.
        encoder: Its table and sizes.
        batches: Model inputs without labels.
        labels: Labels of each batch, by argument name.
        kept: Masks [layers, units] by group.
        summary: From the derivatives [B, U] of each example's loss by each gate to what a batch adds to the scores [U].
    """
    labelled = [{**batch, **wanted} for batch, wanted in zip(batches, labels, strict=True)]
    scores = {group: torch.zeros_like(mask_LU) for group, mask_LU in kept.items()}

    def loss(outputs: object, number: int) -> list[Tensor]:
        examples = len(batches[number]["input_ids"])
        mean: Tensor = outputs.loss  # type: ignore[attr-defined]
        return [mean * examples]

    for seen in backward_passes(model, encoder, labelled, loss):
        if seen.place.group in scores:
            with torch.no_grad():
                scores[seen.place.group][seen.place.layer] += summary(seen.by_gate()[0]).to(
                    kept[seen.place.group]
                )
    return {group: torch.where(kept[group].bool(), score_LU, -1.0) for group, score_LU in scores.items()}
