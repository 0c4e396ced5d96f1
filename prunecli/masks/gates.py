"""Gates on a live model.

A gate on a part of a layer is a scale on rows or columns of a linear, so it can be put on the weight or on the
activation: the product is the same. Each linear takes the cheaper one for its batch: the activation while there are
fewer tokens than the weight has rows, else the weight. A gate on a layer goes from what it reads to what it writes,
one on a hidden dimension sits in the norms.

Shapes: N tokens of a batch, O output features, I input features, L layers, U units.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from prunecli.encoders import Encoder
from prunecli.errors import UnsupportedModelError
from prunecli.masks.mask_set import MaskSet
from prunecli.masks.units import COLUMNS, Touch, touches

GateValues = dict[str, Tensor]  # [L, U] by group; shared by all gated linears, replaced once a forward pass


class GatedLinear(nn.Linear):
    """A linear that scales its rows and columns by the current gate values.

    It holds the parameters of the linear that it stands in for, so `state_dict` names stay the stock ones.
    """

    def __init__(self, linear: nn.Linear, gates: list[Touch], values: GateValues) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.gates = gates
        self.values = values

    def forward(self, input: Tensor) -> Tensor:
        """Compute [..., I] -> [..., O]."""
        weight_OI: Tensor = self.weight
        bias_O: Tensor | None = self.bias
        tokens = input.numel() // max(self.in_features, 1)
        scale_O: Tensor | None = None
        for gate in self.gates:
            gate_ = self._spread(gate)
            if gate.dim == COLUMNS:
                if self.scales_activation(gate.dim, tokens):
                    input = input * gate_.to(input.dtype)
                else:
                    weight_OI = weight_OI * gate_
            elif self.scales_activation(gate.dim, tokens):
                scale_O = gate_
            else:
                weight_OI = weight_OI * gate_[:, None]
                bias_O = None if bias_O is None else bias_O * gate_
        output = functional.linear(input, weight_OI, bias_O)
        return output if scale_O is None else output * scale_O.to(output.dtype)

    def scales_activation(self, dim: int, tokens: int) -> bool:
        """Say whether a gate on the rows or columns is cheaper on the activation than on the weight.

        A weight that does not train gets no gradient otherwise, so it is left alone.
        """
        return not self.weight.requires_grad or tokens < (
            self.out_features if dim == COLUMNS else self.in_features
        )

    def _spread(self, gate: Touch) -> Tensor:
        """Return one factor a row or column from one value a unit."""
        values_U = self.values[gate.group][gate.layer]
        if gate.width > 1:
            values_U = values_U.repeat_interleave(gate.width)
        return values_U.repeat(gate.blocks) if gate.blocks > 1 else values_U


class GatedNorm(nn.LayerNorm):
    """A layer norm over the hidden dimensions that are open; the others count for nothing and become zero.

        y = z (w (x - m) / sqrt(v + eps) + b),   m and v: mean and variance of x with weights z

    It holds the parameters of the norm that it stands in for.
    """

    def __init__(self, norm: nn.LayerNorm, gate: Touch, values: GateValues) -> None:
        nn.Module.__init__(self)
        self.normalized_shape, self.eps = norm.normalized_shape, norm.eps
        self.elementwise_affine, self.weight, self.bias = norm.elementwise_affine, norm.weight, norm.bias
        self.gate, self.values = gate, values

    def forward(self, input: Tensor) -> Tensor:
        """Compute [..., H] -> [..., H]."""
        gate_H = self.values[self.gate.group][self.gate.layer]
        share_H = gate_H / gate_H.sum().clamp_min(self.eps)
        centred = input - (input * share_H).sum(-1, keepdim=True)
        variance = (centred.square() * share_H).sum(-1, keepdim=True)
        output: Tensor = centred * torch.rsqrt(variance + self.eps) * self.weight
        return gate_H * (output if self.bias is None else output + self.bias)


def put_gates(model: nn.Module, encoder: Encoder, groups: tuple[str, ...]) -> GateValues:
    """Let the model's linears and layers be scaled by gate values, which start as ones.

    Args:
        model: A transformers model with or without a head; changed in place.
        encoder: Its table and sizes.
        groups: The groups to gate.

    Returns:
        The values that they read: replace an entry, and the next forward pass uses it.

    Raises:
        UnsupportedModelError: The model lacks a linear of the table, or has no such units.
    """
    base = model.base_model
    assert isinstance(base, nn.Module)
    parameter = next(base.parameters())
    values: GateValues = {}
    gates: dict[str, list[Touch]] = {}
    for group in groups:
        values[group] = torch.ones(
            MaskSet({}).of(group, encoder).shape, device=parameter.device, dtype=parameter.dtype
        )
        for row in range(len(values[group])):
            for touch in touches(encoder, group, row):
                if touch.gated:
                    gates.setdefault(touch.module, []).append(touch)
    for name, touched in gates.items():
        base.set_submodule(name, _gated(base, name, touched, values, encoder))
    for layer in range(encoder.layers if "layer" in groups else 0):
        module: Any = base.get_submodule(encoder.layer(layer))
        module.gate_values, module.gate_row = values, layer
        gate_layer(module, _own_gate)
    return values


def gate_layer(layer: nn.Module, gate: Callable[[Any], Tensor]) -> RemovableHandle:
    """Let a layer write what it computes at a gate of 1, what it reads at 0, and what lies between elsewhere.

    Args:
        layer: The layer; what it reads is its first argument.
        gate: Asked in each forward pass, with the layer; a tensor of one number.
    """

    def between(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        wrote: Tensor = output[0] if isinstance(output, tuple) else output
        mixed = torch.lerp(args[0].to(wrote.dtype), wrote, gate(module).to(wrote))  # exact at 0 and at 1
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    return layer.register_forward_hook(between, prepend=True)  # before those that record hidden states


def _own_gate(layer: Any) -> Tensor:
    """Return the gate of a layer from where it stands: a copy of the model has one of its own."""
    gate: Tensor = layer.gate_values["layer"][layer.gate_row]
    return gate


def _gated(base: nn.Module, name: str, gates: list[Touch], values: GateValues, encoder: Encoder) -> nn.Module:
    """Return what stands in for a module of the table in the bare encoder."""
    try:
        module: nn.Module | None = base.get_submodule(name)
    except AttributeError:
        module = None
    if isinstance(module, nn.Linear):
        return GatedLinear(module, gates, values)
    if isinstance(module, nn.LayerNorm) and gates[0].group == "hidden":
        return GatedNorm(module, gates[0], values)
    if isinstance(module, nn.Identity) and gates[0].group == "hidden":  # a layer that does without the norm
        return module
    raise UnsupportedModelError(
        f"{type(base).__name__} has no linear {name}, which the table {encoder.table} expects",
        "its class must have renamed it: use a transformers release that constraints.txt allows, "
        "or correct the table",
    )


def set_masks(values: GateValues, masks: Mapping[str, Tensor] | MaskSet) -> None:
    """Let the gated model compute with fixed masks."""
    for group, value in values.items():
        mask = torch.from_numpy(masks.masks[group]) if isinstance(masks, MaskSet) else masks[group]
        values[group] = mask.to(device=value.device, dtype=value.dtype)
