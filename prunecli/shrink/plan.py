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
from prunecli.masks.units import COLUMNS, ROWS, Touch, mask_shape, touches
from prunecli.models.shipped import inner_config
from prunecli.shrink.config_changes import goes_with_heads, narrowed_head, native_changes, resized
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
        if layer.heads or not goes_with_heads(encoder, name)
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
        InputError: The checkpoint lacks a tensor that its config implies, or calls it something else.
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
        for layer in range(mask_shape(encoder, group)[0]):
            old, kept = already.kept(group, layer, encoder), total.kept(group, layer, encoder)
            values = masks.of(group, encoder)[layer][kept]
            for touch in touches(encoder, group, layer):
                index, scale = spread(touch, np.searchsorted(old, kept), values, len(old))
                _apply(cuts, prefix + touch.module, touch, index, scale)
                if group in INDEX_NAMES and len(kept) < encoder.hidden:
                    indices[prefix + touch.module + INDEX_NAMES[group]] = kept
    changes = {
        **resized(encoder, total),
        "narrowed_head": narrowed_head(encoder, total, checkpoint.config, checkpoint.architecture),
    }
    for name in changes["narrowed_head"]:
        index = np.searchsorted(already.kept("hidden", 0, encoder), total.kept("hidden", 0, encoder))
        _apply(cuts, name, Touch("hidden", 0, name, COLUMNS), index, None)
    native, reason = native_changes(encoder, total)
    if vocabulary is not None:
        for name in word_tensors(checkpoint, encoder):
            cuts[name].keep[ROWS] = vocabulary.kept
        words = vocabulary.config(inner_config(checkpoint.config))
        changes, native = {**changes, **words}, None if native is None else {**native, **words}
    gone = tuple(f"{prefix}{name}." for key in ("without_heads", "without_layers") for name in changes[key])
    stays = tuple(f"{prefix}{name}.{output}." for name, output in changes["without_heads"].items())
    cuts = {name: cut for name, cut in cuts.items() if not name.startswith(gone) or name.startswith(stays)}
    indices = {name: index for name, index in indices.items() if not name.startswith(gone)}
    before = sum(entry.elements for entry in checkpoint.tensors.values() if entry.dtype in FLOATS)
    layers = enumerate(filter(total.has_layer, range(encoder.layers)))
    moved = {prefix + encoder.module(old, ""): prefix + encoder.module(new, "") for new, old in layers}
    return CutPlan(list(cuts.values()), indices, before, changes, native, reason, moved, vocabulary)


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
    module: str,
    touch: Touch,
    index: Indices,
    scale: npt.NDArray[np.float32] | None,
) -> None:
    """Note a cut of one side for a module's weight and, where rows go, for its bias; what has gone stays away."""
    names = [f"{module}.weight", *([f"{module}.bias"] if touch.dim == ROWS else [])]
    others = [] if names[0] in cuts else [name for name in cuts if name.startswith(f"{module}.")]
    if others:  # norms of old checkpoints have a gamma and a beta
        raise InputError(
            f"there is a tensor {others[0]}, but none {names[0]}",
            "load the checkpoint with transformers and save it again",
        )
    for name in filter(cuts.__contains__, names):
        cut = cuts[name]
        if len(index) < cut.entry.shape[touch.dim]:
            cut.keep[touch.dim] = index
        if scale is not None:
            if cut.entry.dtype not in FLOATS:
                raise MaskError(f"{name} is of type {cut.entry.dtype}: mask values cannot be folded into it")
            cut.scale[touch.dim] = scale
