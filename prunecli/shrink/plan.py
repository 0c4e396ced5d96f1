"""What a cut does to each tensor of a checkpoint, known before the first byte is read.

A plan is made from `config.json`, safetensors headers and masks alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.safetensors_file import FLOATS, Declared, TensorEntry
from prunecli.encoders import Encoder
from prunecli.errors import InputError, MaskError
from prunecli.masks import MaskSet
from prunecli.masks.units import COLUMNS, ROWS, Touch, linear_shapes, touches

Indices = npt.NDArray[np.intp]


@dataclass(slots=True)
class TensorCut:
    """What happens to one tensor.

    Attributes:
        entry: Where it stands.
        keep: Indices that stay, by dimension; a dimension that is absent stays whole.
        scale: float32 factors of what stays, by dimension.
    """

    entry: TensorEntry
    keep: dict[int, Indices] = field(default_factory=dict)
    scale: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict)

    @property
    def declared(self) -> Declared:
        """Return name, type and shape after the cut."""
        shape = tuple(
            len(self.keep[dim]) if dim in self.keep else size for dim, size in enumerate(self.entry.shape)
        )
        return Declared(self.entry.name, self.entry.dtype, shape)


@dataclass(frozen=True, slots=True)
class CutPlan:
    """The whole cut.

    Attributes:
        cuts: One entry a tensor of the source.
        indices: New index tensors by name: which features a linear gathers or scatters.
        changes: What `config.json` gets: `pruned_linears`, `gathered_inputs`, `scattered_outputs`.
        native: Config changes that say the same in the stock class's own words; None where it cannot.
        native_reason: Why it cannot.
    """

    cuts: list[TensorCut]
    indices: dict[str, Indices]
    changes: dict[str, Any]
    native: dict[str, int] | None
    native_reason: str

    @property
    def declared(self) -> list[Declared]:
        """Return every tensor of the output, in the order of its bytes."""
        new = [Declared(name, "I64", (len(index),)) for name, index in self.indices.items()]
        return [cut.declared for cut in self.cuts] + new

    @property
    def parameters(self) -> tuple[int, int]:
        """Return the parameters of the checkpoint before and after."""
        floats = [cut for cut in self.cuts if cut.entry.dtype in FLOATS]
        before = sum(cut.entry.elements for cut in floats)
        return before, sum(int(np.prod(cut.declared.shape)) for cut in floats)


def encoder_prefix(checkpoint: Checkpoint, encoder: Encoder) -> str:
    """Find what the encoder's tensors begin with: `bert.` inside a model with a head, else nothing.

    Raises:
        InputError: A linear of the table is missing, or has another shape than `config.json` says.
    """
    shapes = {
        name: shape
        for layer in range(encoder.layers)
        for name, shape in linear_shapes(encoder, layer).items()
    }
    first = next(iter(shapes))
    prefixes = (f"{encoder.model_type.prefix}.", "")
    prefix = next((prefix for prefix in prefixes if f"{prefix}{first}.weight" in checkpoint.tensors), None)
    if prefix is None:
        raise InputError(
            f"{checkpoint.path}: no tensor {prefixes[0]}{first}.weight, which a {encoder.model_type.name} has",
            "take the config.json that was saved with the weights",
        )
    for name, shape in shapes.items():
        entry = checkpoint.tensors.get(f"{prefix}{name}.weight")
        if entry is None:
            raise InputError(f"{checkpoint.path}: tensor {prefix}{name}.weight is missing")
        if entry.shape != shape:
            raise InputError(
                f"{checkpoint.path}: tensor {entry.name} has shape {list(entry.shape)}, "
                f"config.json says {list(shape)}",
                "take the config.json that was saved with the weights",
            )
    return prefix


def plan_cut(checkpoint: Checkpoint, encoder: Encoder, masks: MaskSet) -> CutPlan:
    """Work out every tensor's new shape.

    Args:
        checkpoint: The source, by its headers.
        encoder: Its table and sizes.
        masks: What stays; they must have passed `MaskSet.check`.

    Raises:
        InputError: The checkpoint lacks a tensor that its config implies.
        MaskError: A gate other than 0 and 1 meets a tensor that is not of floats.
    """
    prefix = encoder_prefix(checkpoint, encoder)
    cuts = {name: TensorCut(entry) for name, entry in checkpoint.tensors.items()}
    indices: dict[str, Indices] = {}
    shapes = {
        name: list(shape)
        for layer in range(encoder.layers)
        for name, shape in linear_shapes(encoder, layer).items()
    }
    dense = {name: list(shape) for name, shape in shapes.items()}
    gathered, scattered = [], []
    for group in masks.masks:
        for layer in range(encoder.layers):
            kept = masks.kept(group, layer, encoder)
            values = masks.masks[group][layer][kept]
            for touch in touches(encoder, group, layer):
                index, scale = _spread(touch, kept, values, len(masks.masks[group][layer]))
                _apply(cuts, prefix + touch.linear, touch, index, scale)
                full = shapes[touch.linear][touch.dim]
                shapes[touch.linear][touch.dim] = len(index)
                if len(index) < full and group == "ffn_in":
                    gathered.append(touch.linear)
                    indices[f"{prefix}{touch.linear}.input_index"] = index
                if len(index) < full and group == "ffn_out":
                    scattered.append(touch.linear)
                    indices[f"{prefix}{touch.linear}.output_index"] = index
    changes = {
        "pruned_linears": {name: shape for name, shape in shapes.items() if shape != dense[name]},
        "gathered_inputs": gathered,
        "scattered_outputs": scattered,
    }
    native, reason = _native(encoder, masks)
    return CutPlan(list(cuts.values()), indices, changes, native, reason)


def _spread(
    touch: Touch, kept: Indices, values: npt.NDArray[np.float32], units: int
) -> tuple[Indices, npt.NDArray[np.float32] | None]:
    """Turn kept units into the kept rows or columns of one side of a linear, and their factors."""
    within = (kept[:, None] * touch.width + np.arange(touch.width)).ravel()
    blocks = np.arange(touch.blocks)[:, None] * (units * touch.width)
    index = (blocks + within).ravel()
    if not touch.gated or (values == 1).all():
        return index, None
    return index, np.tile(np.repeat(values, touch.width), touch.blocks)


def _apply(
    cuts: Mapping[str, TensorCut],
    linear: str,
    touch: Touch,
    index: Indices,
    scale: npt.NDArray[np.float32] | None,
) -> None:
    """Note a cut of one side for the linear's weight and, where rows go, for its bias."""
    names = [f"{linear}.weight"]
    if touch.dim == ROWS and f"{linear}.bias" in cuts:
        names.append(f"{linear}.bias")
    for name in names:
        cut = cuts[name]
        if len(index) < cut.entry.shape[touch.dim]:
            cut.keep[touch.dim] = index
        if scale is not None:
            if cut.entry.dtype not in FLOATS:
                raise MaskError(f"{name} is of type {cut.entry.dtype}: mask values cannot be folded into it")
            cut.scale[touch.dim] = scale


def _native(encoder: Encoder, masks: MaskSet) -> tuple[dict[str, int] | None, str]:
    """Say the cut in the stock config's own words, or why that cannot be."""
    for group in ("head", "ffn_out", "ffn_in"):
        if (masks.of(group, encoder) == 0).any():
            return (
                None,
                f"{group} units are cut, and a stock {encoder.model_type.name} config cannot say which",
            )
    widths = {len(masks.kept("ffn_int", layer, encoder)) for layer in range(encoder.layers)}
    if len(widths) > 1:
        return (
            None,
            f"layers keep between {min(widths)} and {max(widths)} neurons, a stock config has one width",
        )
    if widths == {0}:
        return None, "no neurons are left, which a stock config cannot say"
    return {encoder.family.intermediate_field: widths.pop()}, ""


__all__ = ["COLUMNS", "CutPlan", "TensorCut", "encoder_prefix", "plan_cut"]
