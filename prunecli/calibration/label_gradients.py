"""Derivatives of the labelled loss by gates: what the baselines score by."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from prunecli.calibration.backward import backward_passes
from prunecli.calibration.sublayers import Batch
from prunecli.encoders import Encoder
from prunecli.masks.units import Touch


def loss_by_gates(
    model: nn.Module, encoder: Encoder, batches: Sequence[Batch], labels: Sequence[Mapping[str, Tensor]]
) -> Iterator[tuple[Touch, Tensor]]:
    """Yield for every sublayer of every batch the derivatives [B, U] of each example's loss by each gate.

    Args:
        model: In evaluation mode.
        encoder: Its table and sizes.
        batches: Model inputs without labels.
        labels: Labels of each batch, by argument name.
    """
    labelled = [{**batch, **wanted} for batch, wanted in zip(batches, labels, strict=True)]

    def loss(outputs: object, number: int) -> list[Tensor]:
        examples = len(batches[number]["input_ids"])
        mean: Tensor = outputs.loss  # type: ignore[attr-defined]
        return [mean * examples]

    for seen in backward_passes(model, encoder, labelled, loss):
        with torch.no_grad():
            yield seen.place, seen.by_gate()[0]
