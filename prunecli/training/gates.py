"""Trainable gates: logits that decide, relaxed while training, hard in evaluation."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunecli.encoders import Encoder
from prunecli.masks import MaskSet
from prunecli.masks.gates import GateValues, put_gates
from prunecli.masks.units import PRICED_GROUPS, mask_shape
from prunecli.methods.base import OPEN, GateMethod
from prunecli.training.budget import Lagrangian

NAME = "pruning_gates"  # the attribute of the model, and so the prefix in trainer checkpoints


class Gates(nn.Module):
    """One logit a unit for each learned group, and the gate values that follow from it.

    Under a budget every sublayer whose units are learned has a gate of its own as well, which multiplies those of its
    units: a sublayer that hardly pays goes as a whole.

    Attributes:
        logits: [layers, units] a group.
        coarse: [layers, 1] a group, under a budget.
        lagrangian: What holds the gates to a budget, if there is one.
        temperature: Of the relaxation; a callback anneals it.
        frozen: Once true, training sees the decisions too, and the logits move no more.
        fixed: The decisions, once a budget has been met exactly.
        read: Where the gated modules of the model read the values of a pass.
    """

    def __init__(
        self,
        method: GateMethod,
        encoder: Encoder,
        groups: tuple[str, ...],
        how: str,
        seed: int,
        lagrangian: Lagrangian | None = None,
    ) -> None:
        super().__init__()
        self.method = method
        starts = {
            group: method.start(mask_shape(encoder, group), how, seed + number)
            for number, group in enumerate(groups)
        }
        self.logits = nn.ParameterDict({group: nn.Parameter(logits) for group, logits in starts.items()})
        sublayers = [group for group in PRICED_GROUPS if lagrangian and group in starts]
        coarse = {group: torch.full((len(starts[group]), 1), OPEN) for group in sublayers}
        self.coarse = nn.ParameterDict({group: nn.Parameter(logits) for group, logits in coarse.items()})
        self.lagrangian = lagrangian
        self.temperature = 1.0
        self.frozen = False
        self.fixed: dict[str, Tensor] | None = None
        self.read: GateValues = {}

    def values(self) -> dict[str, Tensor]:
        """Return gates [layers, units] for one forward pass: samples while training, else the decisions."""
        if self.training and not self.frozen and self.fixed is None:
            return self._combined(lambda logits: self.method.sample(logits, self.temperature))
        return {group: mask.float() for group, mask in self.decisions().items()}

    @torch.no_grad()
    def decisions(self) -> dict[str, Tensor]:
        """Return which units stay, as bool masks [layers, units]."""
        return self.fixed or {
            group: open_LU > 0 for group, open_LU in self._combined(self.method.decide).items()
        }

    def chances(self) -> dict[str, Tensor]:
        """Return each gate's chance to be open, [layers, units]."""
        return self._combined(self.method.open_probability)

    def penalties(self) -> dict[str, Tensor]:
        """Return the method's penalties, averaged over the groups."""
        groups = [self.method.penalties(logits) for logits in self.logits.values()]
        return {name: torch.stack([group[name] for group in groups]).mean() for name in groups[0]}

    @torch.no_grad()
    def open_by(self, worth: Mapping[str, Tensor]) -> None:
        """Start from what units are worth: above the middle for the better half, the same spread for any scale.

        Args:
            worth: Loss that a unit's removal adds by its price, [layers, units] a group; not below zero. Gates of
                other groups start open.
        """
        for group in self.logits.keys() - worth.keys():
            self.logits[group].fill_(OPEN)
        if not worth:
            return
        logs = {group: worth_LU.clamp_min(1e-30).log() for group, worth_LU in worth.items()}
        every = torch.cat([log_LU.flatten() for log_LU in logs.values()])
        for group, log_LU in logs.items():
            self.logits[group].copy_(
                OPEN + ((log_LU - every.mean()) / every.std().clamp_min(1e-6)).clamp(-3, 3)
            )

    @torch.no_grad()
    def mask_set(self, provenance: dict[str, str]) -> MaskSet:
        """Return the decisions and logits as arrays."""
        masks = {group: mask.float().cpu().numpy() for group, mask in self.decisions().items()}
        values = (
            self.logits if not self.coarse else {name: p.logit(1e-7) for name, p in self.chances().items()}
        )
        logits = {group: value.float().cpu().numpy() for group, value in values.items()}
        return MaskSet(masks, logits, provenance)

    def _combined(self, each: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Apply a function to fine and coarse logits, and multiply what comes of it."""
        fine = {group: each(logits) for group, logits in self.logits.items()}
        return {
            group: value * each(self.coarse[group]) if group in self.coarse else value
            for group, value in fine.items()
        }


def attach(model: nn.Module, encoder: Encoder, gates: Gates) -> None:
    """Put trainable gates on a model; they act in training and in evaluation."""
    model.add_module(NAME, gates)
    gates.read = put_gates(model, encoder, tuple(gates.logits))
    model.register_forward_pre_hook(_refresh)


def _refresh(model: nn.Module, _args: tuple[Any, ...]) -> None:
    """Write down the gates' values of this pass; of the model that is called, which may be a copy."""
    gates = model.get_submodule(NAME)
    assert isinstance(gates, Gates)
    gates.read.update(gates.values())


def weights_only(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a gated model's state dict without the gates: exactly the stock names."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(NAME + ".")}
