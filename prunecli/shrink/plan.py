"""What a cut does to each tensor of a checkpoint, known before the first byte is read.

A plan is made from `config.json`, safetensors headers and masks alone.
"""

import math
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
from prunecli.masks.budget import layer_shapes
from prunecli.masks.units import ROWS, Touch, linear_shapes, touches

INDEX_NAMES = {"ffn_in": ".input_index", "ffn_out": ".output_index"}

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
        cuts: One entry a tensor that is left.
        indices: New index tensors by name: which features a linear gathers or scatters.
        parameters_before: Parameters of the source.
        changes: What `config.json` gets: `pruned_linears` and so on, as `modeling_pruned.py` explains.
        native: Config changes that say the same in the stock class's own words; None where it cannot.
        native_reason: Why it cannot.
    """

    cuts: list[TensorCut]
    indices: dict[str, Indices]
    parameters_before: int
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
        after = sum(math.prod(cut.declared.shape) for cut in self.cuts if cut.entry.dtype in FLOATS)
        return self.parameters_before, after


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
    sides: dict[str, list[str]] = {"ffn_in": [], "ffn_out": []}  # linears that gather, linears that scatter
    for group in masks.masks:
        for layer in range(encoder.layers):
            kept = masks.kept(group, layer, encoder)
            values = masks.masks[group][layer][kept]
            for touch in touches(encoder, group, layer):
                index, scale = _spread(touch, kept, values, len(masks.masks[group][layer]))
                _apply(cuts, prefix + touch.linear, touch, index, scale)
                if group in sides and len(kept) < encoder.hidden:
                    sides[group].append(touch.linear)
                    indices[prefix + touch.linear + INDEX_NAMES[group]] = index
    changes = {
        **_resized(encoder, masks),
        "gathered_inputs": sides["ffn_in"],
        "scattered_outputs": sides["ffn_out"],
    }
    for name in changes["without_heads"]:
        cuts = {tensor: cut for tensor, cut in cuts.items() if not tensor.startswith(f"{prefix}{name}.")}
        gone = {linear for linear in changes["pruned_linears"] if linear.startswith(f"{name}.")}
        changes["pruned_linears"] = {
            linear: shape for linear, shape in changes["pruned_linears"].items() if linear not in gone
        }
    native, reason = _native(encoder, masks)
    before = sum(entry.elements for entry in checkpoint.tensors.values() if entry.dtype in FLOATS)
    return CutPlan(list(cuts.values()), indices, before, changes, native, reason)


def _resized(encoder: Encoder, masks: MaskSet) -> dict[str, Any]:
    """Return what the shipped class has to know: shapes of linears, and what else counts heads."""
    core = encoder.family.core
    linears: dict[str, list[int]] = {}
    attributes: dict[str, dict[str, int]] = {}
    selected: dict[str, list[Any]] = {}
    empty: list[str] = []
    for layer, shapes in enumerate(layer_shapes(encoder, masks)):
        dense = linear_shapes(encoder, layer)
        linears |= {name: list(shape) for name, shape in shapes.linears.items() if shape != dense[name]}
        if core is None or shapes.heads == encoder.heads:
            continue
        name = encoder.module(layer, core.name)
        if core.can_go and shapes.heads == 0:
            empty.append(name)
            continue
        attributes[name] = {core.head_count: shapes.heads}
        if core.width:
            attributes[name][core.width] = shapes.heads * encoder.head_size
        if core.per_head is not None:
            selected[name] = [*core.per_head, masks.kept("head", layer, encoder).tolist()]
    return {
        "pruned_linears": linears,
        "module_attributes": attributes,
        "kept_heads": selected,
        "without_heads": empty,
    }


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
