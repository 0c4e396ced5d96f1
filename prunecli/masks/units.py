"""The units that can be removed, and what removing one does to a layer's linears.

Groups and mask shapes (L layers, A heads, I intermediate neurons, H hidden):

    head      [L, A]   a gate scales columns of the attention output; a cut also takes rows of q, k, v
    ffn_int   [L, I]   a gate scales columns of the second FFN linear; a cut also takes rows of the first
    ffn_out   [L, H]   rows and bias of the second FFN linear; the model scatters the rest back
    ffn_in    [L, H]   columns of the first FFN linear; the model gathers its input
    layer     [L, 1]   the layer as a whole: what it reads is what it writes

Everything that gates, cuts, counts or ships parts of layers is derived from `touches`.
"""

from dataclasses import dataclass
from typing import Literal

from prunecli.config.shared import EVERY_GROUP as EVERY_GROUP
from prunecli.config.shared import GROUPS as GROUPS
from prunecli.config.shared import PRICED_GROUPS as PRICED_GROUPS
from prunecli.encoders import Encoder
from prunecli.errors import UnsupportedModelError

ROWS: Literal[0] = 0
COLUMNS: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class Touch:
    """One side of one linear that a group's units own.

    Attributes:
        group: The group of units.
        layer: The layer.
        linear: Module name of the linear, seen from the bare encoder.
        dim: `ROWS` (output features, with the bias) or `COLUMNS` (input features).
        width: Consecutive rows or columns of one unit.
        blocks: How often the units repeat along the dimension (fused qkv, gated FFN).
        gated: Whether a gate on the unit scales this side; the other sides are only cut.
    """

    group: str
    layer: int
    linear: str
    dim: Literal[0, 1]
    width: int = 1
    blocks: int = 1
    gated: bool = False


def mask_shape(encoder: Encoder, group: str) -> tuple[int, int]:
    """Return [layers, units] of a group's mask.

    Raises:
        UnsupportedModelError: The encoder has no such units.
    """
    if group == "layer" and not encoder.family.layers_can_go:
        raise UnsupportedModelError(
            f"this {encoder.model_type.name} cannot lose layers: the others would compute something else",
            f"take other groups: {', '.join(GROUPS)}",
        )
    units = {
        "head": encoder.heads,
        "ffn_int": encoder.intermediate,
        "ffn_out": encoder.hidden,
        "ffn_in": encoder.hidden,
        "layer": 1,
    }
    return encoder.layers, units[group]


def touches(encoder: Encoder, group: str, layer: int) -> list[Touch]:
    """Return the sides of the layer's linears that belong to the group's units; none to the layer as a whole."""
    attention, ffn = encoder.family.attention, encoder.family.ffn

    def touch(name: str, dim: Literal[0, 1], width: int, blocks: int, gated: bool) -> Touch:
        return Touch(group, layer, encoder.module(layer, name), dim, width, blocks, gated)

    if group == "head":
        size = encoder.head_size
        inner = [touch(name, ROWS, size, attention.blocks, False) for name in attention.inputs]
        return [*inner, touch(attention.output, COLUMNS, size, 1, True)]
    if group == "ffn_int":
        inner = [touch(name, ROWS, 1, ffn.blocks, False) for name in ffn.inputs]
        return [*inner, touch(ffn.output, COLUMNS, 1, 1, True)]
    if group == "ffn_out":
        return [touch(ffn.output, ROWS, 1, 1, True)]
    if group == "ffn_in":
        return [touch(name, COLUMNS, 1, 1, True) for name in ffn.inputs]
    if group == "layer":
        return []
    raise ValueError(f"no such group: {group}")


def linear_shapes(encoder: Encoder, layer: int) -> dict[str, tuple[int, int]]:
    """Return [out, in] of the layer's linears before any cut, by module name."""
    heads = encoder.heads * encoder.head_size
    attention, ffn = encoder.family.attention, encoder.family.ffn
    shapes = {name: (attention.blocks * heads, encoder.hidden) for name in attention.inputs}
    shapes[attention.output] = (encoder.hidden, heads)
    shapes |= {name: (ffn.blocks * encoder.intermediate, encoder.hidden) for name in ffn.inputs}
    shapes[ffn.output] = (encoder.hidden, encoder.intermediate)
    return {encoder.module(layer, name): shape for name, shape in shapes.items()}


def biased_linears(encoder: Encoder, layer: int) -> frozenset[str]:
    """Return the layer's linears that have a bias, by module name."""
    names = (*encoder.family.attention.biased, *encoder.family.ffn.biased)
    return frozenset(encoder.module(layer, name) for name in names)
