"""What a cut does to each tensor of a checkpoint, known before the first byte is read.

A plan is made from `config.json`, safetensors headers and masks alone.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from prunecli.shrink.vocabulary import Vocabulary, word_tensors

INDEX_NAMES = {"ffn_in": ".input_index", "ffn_out": ".output_index"}

Indices = npt.NDArray[np.intp]


@dataclass(slots=True)
class TensorCut:
    """What happens to one tensor.

    Attributes:
        entry: Where it stands.
        keep: Indices that stay, ascending, by dimension; a dimension that is absent stays whole.
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
        moved: What that class calls layers that stand lower in it, by what they are called now; with trailing dots.
        vocabulary: Which words stay; None where all do.
    """

    cuts: list[TensorCut]
    indices: dict[str, Indices]
    parameters_before: int
    changes: dict[str, Any]
    native: dict[str, Any] | None
    native_reason: str
    moved: dict[str, str]
    vocabulary: Vocabulary | None = None

    @property
    def declared(self) -> list[Declared]:
        """Return every tensor of the output, in the order of its bytes."""
        new = [Declared(name, "I64", (len(index),)) for name, index in self.indices.items()]
        return [cut.declared for cut in self.cuts] + new

    def as_native(self) -> "CutPlan":
        """Return the plan with every tensor named as in the stock class."""
        return replace(
            self,
            cuts=[replace(cut, entry=replace(cut.entry, name=self._stock_name(cut))) for cut in self.cuts],
        )

    def _stock_name(self, cut: TensorCut) -> str:
        name = cut.entry.name
        before = next((before for before in self.moved if name.startswith(before)), None)
        return name if before is None else self.moved[before] + name.removeprefix(before)

    @property
    def parameters(self) -> tuple[int, int]:
        """Return the parameters of the checkpoint before and after."""
        after = sum(math.prod(cut.declared.shape) for cut in self.cuts if cut.entry.dtype in FLOATS)
        return self.parameters_before, after


def encoder_prefix(checkpoint: Checkpoint, encoder: Encoder, already: MaskSet) -> str:
    """Find what the encoder's tensors begin with: `bert.` inside a model with a head, else nothing.

    Raises:
        InputError: A linear of the table is missing, or has another shape than `config.json` says.
    """
    shapes = {
        name: shape
        for layer in layer_shapes(encoder, already)
        for name, shape in layer.linears.items()
        if layer.heads or not _goes_with_heads(encoder, name)
    }
    first = next(iter(shapes))
    prefixes = (f"{encoder.model_type.prefix}.", "")
    prefix = next((prefix for prefix in prefixes if f"{prefix}{first}.weight" in checkpoint.tensors), None)
    if prefix is None:
        raise InputError(
            f"{checkpoint.path}: no tensor {prefixes[0]}{first}.weight, which the table {encoder.table} expects "
            f"of a {encoder.model_type.name}",
            "take the config.json that was saved with the weights",
        )
    for tensor, shape in _with_biases(shapes):
        entry = checkpoint.tensors.get(prefix + tensor)
        if entry is None and tensor.endswith(".bias"):
            continue
        if entry is None:
            raise InputError(
                f"{checkpoint.path}: tensor {prefix}{tensor} is missing, which the table {encoder.table} expects",
                "take the weights that were saved with config.json",
            )
        if entry.shape != shape:
            raise InputError(
                f"{checkpoint.path}: tensor {entry.name} has shape {list(entry.shape)}, "
                f"config.json says {list(shape)}",
                "take the config.json that was saved with the weights",
            )
    return prefix


def _with_biases(shapes: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, shape in shapes.items():
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[:1]


def plan_cut(
    checkpoint: Checkpoint,
    encoder: Encoder,
    masks: MaskSet,
    already: MaskSet,
    vocabulary: Vocabulary | None = None,
) -> CutPlan:
    """Work out every tensor's new shape.

    Args:
        checkpoint: The source, by its headers.
        encoder: Its table and the sizes of the dense model.
        masks: What stays, in the numbering of the dense model; they must have passed `MaskSet.check`.
        already: What the source has lost before.
        vocabulary: Which words stay; all where None.

    Raises:
        InputError: The checkpoint lacks a tensor that its config implies.
        MaskError: A gate other than 0 and 1 meets a tensor that is not of floats.
    """
    prefix = encoder_prefix(checkpoint, encoder, already)
    total = masks.after(already)
    cuts = {
        name: TensorCut(entry)
        for name, entry in checkpoint.tensors.items()
        if not name.endswith(tuple(INDEX_NAMES.values()))
    }
    indices: dict[str, Indices] = {}
    for group in total.masks:
        for layer in filter(total.has_layer, range(encoder.layers)):
            old, kept = already.kept(group, layer, encoder), total.kept(group, layer, encoder)
            values = masks.of(group, encoder)[layer][kept]
            for touch in touches(encoder, group, layer):
                index, scale = spread(touch, np.searchsorted(old, kept), values, len(old))
                _apply(cuts, prefix + touch.linear, touch, index, scale)
                if group in INDEX_NAMES and len(kept) < encoder.hidden:
                    indices[prefix + touch.linear + INDEX_NAMES[group]] = kept
    changes = resized(encoder, total)
    native, reason = _native(encoder, total)
    if vocabulary is not None:
        for name in word_tensors(checkpoint, encoder):
            cuts[name].keep[ROWS] = vocabulary.kept
        words = vocabulary.config(checkpoint.config)
        changes, native = {**changes, **words}, None if native is None else {**native, **words}
    gone = tuple(f"{prefix}{name}." for key in ("without_heads", "without_layers") for name in changes[key])
    stays = tuple(f"{prefix}{name}.{output}." for name, output in changes["without_heads"].items())
    cuts = {name: cut for name, cut in cuts.items() if not name.startswith(gone) or name.startswith(stays)}
    before = sum(entry.elements for entry in checkpoint.tensors.values() if entry.dtype in FLOATS)
    layers = enumerate(filter(total.has_layer, range(encoder.layers)))
    moved = {prefix + encoder.module(old, ""): prefix + encoder.module(new, "") for new, old in layers}
    return CutPlan(list(cuts.values()), indices, before, changes, native, reason, moved, vocabulary)


def _goes_with_heads(encoder: Encoder, name: str) -> bool:
    """Say whether a linear goes with the attention module where a layer does without heads."""
    core = encoder.family.core
    inputs = tuple(f".{linear}" for linear in encoder.family.attention.inputs)
    return core is not None and core.can_go and name.endswith(inputs)


def resized(encoder: Encoder, masks: MaskSet) -> dict[str, Any]:
    """Return what the shipped class has to know: shapes of linears, and what else counts heads."""
    core = encoder.family.core
    linears: dict[str, list[int]] = {}
    sides: dict[str, list[str]] = {"ffn_in": [], "ffn_out": []}  # linears that gather, linears that scatter
    attributes: dict[str, dict[str, int]] = {}
    selected: dict[str, list[Any]] = {}
    empty: dict[str, str] = {}
    without: list[str] = []
    for layer, shapes in enumerate(layer_shapes(encoder, masks)):
        if not masks.has_layer(layer):
            without.append(encoder.layer(layer))
            continue
        dense = linear_shapes(encoder, layer)
        linears |= {
            name: list(shape)
            for name, shape in shapes.linears.items()
            if shape != dense[name] and (shapes.heads or not _goes_with_heads(encoder, name))
        }
        for group, names in sides.items():
            if len(masks.kept(group, layer, encoder)) < encoder.hidden:
                names += [touch.linear for touch in touches(encoder, group, layer)]
        if core is None or shapes.heads == encoder.heads:
            continue
        name = encoder.module(layer, core.name)
        if core.can_go and shapes.heads == 0:
            output = encoder.family.attention.output
            empty[name] = output.removeprefix(f"{core.name}.") if output.startswith(f"{core.name}.") else ""
            continue
        attributes[name] = {core.head_count: shapes.heads}
        if core.width:
            attributes[name][core.width] = shapes.heads * encoder.head_size
        if core.per_head is not None:
            selected[name] = [core.per_head, masks.kept("head", layer, encoder).tolist()]
    return {
        "pruned_linears": linears,
        "gathered_inputs": sides["ffn_in"],
        "scattered_outputs": sides["ffn_out"],
        "module_attributes": attributes,
        "kept_heads": selected,
        "without_heads": empty,
        "without_layers": without,
    }


def spread(
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
    layers = list(filter(masks.has_layer, range(encoder.layers)))
    if len(layers) < encoder.layers and not encoder.family.layers_alike:
        return None, f"layers are gone, and those of a {encoder.model_type.name} differ by where they stand"
    for group in ("head", "ffn_out", "ffn_in"):
        if (masks.of(group, encoder)[layers] == 0).any():
            return (
                None,
                f"{group} units are cut, and a stock {encoder.model_type.name} config cannot say which",
            )
    widths = {len(masks.kept("ffn_int", layer, encoder)) for layer in layers}
    if len(widths) > 1:
        return (
            None,
            f"layers keep between {min(widths)} and {max(widths)} neurons, a stock config has one width",
        )
    if widths == {0}:
        return None, "no neurons are left, which a stock config cannot say"
    fewer = {encoder.family.layers_field: len(layers)} if len(layers) < encoder.layers else {}
    return {encoder.family.intermediate_field: widths.pop(), **fewer}, ""
