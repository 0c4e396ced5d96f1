"""Forward and backward passes that show what each sublayer reads, and how something depends on what it writes.

Shapes: D directions, B batch, T tokens (those of all calls, where layers share weights), N columns, H hidden, U units.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunecli.calibration.sublayers import Batch, linear_of, sublayers, watched
from prunecli.encoders import Encoder
from prunecli.masks.units import Touch


@dataclass(frozen=True, slots=True)
class Pass:
    """One sublayer and one batch.

    Attributes:
        place: Where the units meet the output linear.
        linear: That linear.
        read_BTN: What it reads.
        gradients_DBTH: Derivatives of each scalar by what it writes; zero at padding.
        real_BT: Tokens that are no padding.
        batch: The batch's number.
    """

    place: Touch
    linear: nn.Linear
    read_BTN: Tensor
    gradients_DBTH: Tensor
    real_BT: Tensor
    batch: int

    def by_gate(self) -> Tensor:
        """Return derivatives [D, B, U] of each example's part by the gate of each unit, at gates of one."""
        by_column_DBTN = (self.gradients_DBTH @ self.linear.weight) * self.read_BTN
        by_column_DBN = by_column_DBTN.sum(-2)
        return by_column_DBN.reshape(*by_column_DBN.shape[:-1], -1, self.place.width).sum(-1)


def backward_passes(
    model: nn.Module,
    encoder: Encoder,
    batches: Sequence[Batch],
    scalars: Callable[[Any, int], Sequence[Tensor]],
) -> Iterator[Pass]:
    """Yield every sublayer of every batch.

    Args:
        model: In evaluation mode; its parameters get no gradients.
        encoder: Its table and sizes.
        batches: Model inputs, on the model's device.
        scalars: From the model's outputs and the batch's number to what is differentiated.
    """
    places = sublayers(encoder)
    linears = [linear_of(model, place) for place in places]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    first = linears[0].register_forward_hook(lambda _module, _inputs, output: output.requires_grad_(True))
    try:
        for number, batch in enumerate(batches):
            with watched(linears) as seen, torch.enable_grad():
                outputs = model(**batch)
                calls = [call for index in range(len(linears)) for call in seen[index]]
                written = [output for _, output in calls]
                each = [
                    torch.autograd.grad(scalar, written, retain_graph=True, materialize_grads=True)
                    for scalar in scalars(outputs, number)
                ]
            gradients = iter(zip(*each, strict=True))
            mask_BT = batch["attention_mask"].flatten(0, -2).bool()
            for index, (place, linear) in enumerate(zip(places, linears, strict=True)):
                real_BT = torch.cat([mask_BT] * len(seen[index]), 1)
                read_BTN = torch.cat([read.detach() for read, _ in seen[index]], 1)
                grad_DBTH = torch.cat([torch.stack(next(gradients)) for _ in seen[index]], 2)
                yield Pass(place, linear, read_BTN, grad_DBTH * real_BT[..., None], real_BT, number)
    finally:
        first.remove()
        for parameter in trained:
            parameter.requires_grad_(True)
