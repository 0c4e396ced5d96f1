"""What `config.json` has to say of a cut: to the shipped class, and to the stock class where that understands it."""

from collections.abc import Mapping
from typing import Any

from prunecli.encoders import Encoder
from prunecli.masks import MaskSet
from prunecli.masks.budget import layer_shapes
from prunecli.masks.units import COLUMNS, linear_shapes, touches
from prunecli.models.shipped import readers_of


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
            if shape != dense[name] and (shapes.heads or not goes_with_heads(encoder, name))
        }
        for group, names in sides.items():
            if len(masks.kept(group, layer, encoder)) < encoder.hidden:
                names += [touch.module for touch in touches(encoder, group, layer)]
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
        **_narrowed(encoder, masks, without),
    }


def narrowed_head(
    encoder: Encoder, masks: MaskSet, config: Mapping[str, Any], architecture: str | None
) -> dict[str, int]:
    """Return the linears of heads that read the hidden dimensions, where some go, and which side of them that is.

    Raises:
        UnsupportedModelError: The table does not say what the head reads, or the model's outputs are hidden states.
    """
    if not masks.narrows():
        return {}
    return dict.fromkeys(readers_of(config, architecture, encoder), COLUMNS)


def native_changes(encoder: Encoder, masks: MaskSet) -> tuple[dict[str, int] | None, str]:
    """Say the cut in the stock config's own words, or why that cannot be."""
    if masks.narrows():
        return None, "hidden dimensions are cut, and a stock config would take heads to be smaller, too"
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
            f"layers keep between {min(widths)} and {max(widths)} neurons where a stock config has one width",
        )
    if widths == {0}:
        return None, "no neurons are left, which a stock config cannot say"
    fewer = {encoder.family.layers_field: len(layers)} if len(layers) < encoder.layers else {}
    return {encoder.family.intermediate_field: widths.pop(), **fewer}, ""


def goes_with_heads(encoder: Encoder, name: str) -> bool:
    """Say whether a linear goes with the attention module where a layer does without heads."""
    core = encoder.family.core
    inputs = tuple(f".{linear}" for linear in encoder.family.attention.inputs)
    return core is not None and core.can_go and name.endswith(inputs)


def _narrowed(encoder: Encoder, masks: MaskSet, without: list[str]) -> dict[str, Any]:
    """Return what the shipped class has to know of hidden dimensions: embeddings, norms and the like that lose some."""
    if not masks.narrows():
        return {"hidden_dimensions": None, "narrowed": {}}
    linears = {name for layer in range(encoder.layers) for name in linear_shapes(encoder, layer)}
    gone = tuple(f"{layer}." for layer in without)
    others = (touch for touch in touches(encoder, "hidden", 0) if touch.module not in linears)
    return {
        "hidden_dimensions": len(masks.kept("hidden", 0, encoder)),
        "narrowed": {touch.module: touch.dim for touch in others if not touch.module.startswith(gone)},
    }
