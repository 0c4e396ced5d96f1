"""Trainable gates: logits that decide, relaxed while training, hard in evaluation."""

from typing import Any

import torch
from torch import Tensor, nn

from prunecli.encoders import Encoder
from prunecli.masks import MaskSet
from prunecli.masks.gates import put_gates
from prunecli.masks.units import mask_shape
from prunecli.methods.base import GateMethod

NAME = "pruning_gates"  # the attribute of the model, and so the prefix in trainer checkpoints


class Gates(nn.Module):
    """One logit a unit for each learned group, and the gate values that follow from it.

    Attributes:
        temperature: Of the relaxation; a callback anneals it.
        frozen: Once true, training sees the decisions too, and the logits move no more.
    """

    def __init__(
        self, method: GateMethod, encoder: Encoder, groups: tuple[str, ...], how: str, seed: int
    ) -> None:
        super().__init__()
        self.method = method
        starts = {
            group: method.start(mask_shape(encoder, group), how, seed + number)
            for number, group in enumerate(groups)
        }
        self.logits = nn.ParameterDict({group: nn.Parameter(logits) for group, logits in starts.items()})
        self.temperature = 1.0
        self.frozen = False

    def values(self) -> dict[str, Tensor]:
        """Return gates [layers, units] for one forward pass: samples while training, else the decisions."""
        if self.training and not self.frozen:
            return {
                group: self.method.sample(logits, self.temperature) for group, logits in self.logits.items()
            }
        return {group: mask.float() for group, mask in self.decisions().items()}

    @torch.no_grad()
    def decisions(self) -> dict[str, Tensor]:
        """Return which units stay, as bool masks [layers, units]."""
        return {group: self.method.decide(logits) for group, logits in self.logits.items()}

    def penalties(self) -> dict[str, Tensor]:
        """Return the method's penalties, averaged over the groups."""
        groups = [self.method.penalties(logits) for logits in self.logits.values()]
        return {name: torch.stack([group[name] for group in groups]).mean() for name in groups[0]}

    def mask_set(self, provenance: dict[str, str]) -> MaskSet:
        """Return the decisions and logits as arrays."""
        masks = {group: mask.float().cpu().numpy() for group, mask in self.decisions().items()}
        logits = {group: logits.detach().float().cpu().numpy() for group, logits in self.logits.items()}
        return MaskSet(masks, logits, provenance)


def attach(model: nn.Module, encoder: Encoder, gates: Gates) -> None:
    """Put trainable gates on a model; they act in training and in evaluation."""
    groups = tuple(gates.logits)
    model.add_module(NAME, gates)
    values = put_gates(model, encoder, groups)

    def refresh(_module: nn.Module, _args: tuple[Any, ...]) -> None:
        values.update(gates.values())

    model.register_forward_pre_hook(refresh)


def weights_only(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a gated model's state dict without the gates: exactly the stock names."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(NAME + ".")}
