"""The units that can be removed, and what removing one does to linears, embeddings and norms.

Groups and mask shapes (L layers, A heads, I intermediate neurons, H hidden):

    head      [L, A]   a gate scales columns of the attention output; a cut also takes rows of q, k, v
    ffn_int   [L, I]   a gate scales columns of the second FFN linear; a cut also takes rows of the first
    ffn_out   [L, H]   rows and bias of the second FFN linear; the model scatters the rest back
    ffn_in    [L, H]   columns of the first FFN linear; the model gathers its input
    layer     [L, 1]   the layer as a whole: what it reads is what it writes
    hidden    [1, H]   a dimension of the residual stream, in every layer: the norms leave it out of their means;
                       a cut takes columns of embeddings and of what reads, rows of what writes

Everything that gates, cuts, counts or ships parts of layers is derived from `touches`.
"""

from dataclasses import dataclass
from typing import Literal

from prunecli.config.shared import EVERY_GROUP as EVERY_GROUP
from prunecli.config.shared import GROUPS as GROUPS
from prunecli.config.shared import PRICED_GROUPS as PRICED_GROUPS
from prunecli.encoders import Encoder, Stream
from prunecli.errors import UnsupportedModelError

ROWS: Literal[0] = 0
COLUMNS: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class Touch:
    """One side of one module's weight that a group's units own.

    Attributes:
        group: The group of units.
        layer: The layer, or rather the row of the mask: `hidden` has one.
        module: Name of a linear, an embedding or a norm, seen from the bare encoder.
        dim: `ROWS` (output features, with the bias; entries of a norm) or `COLUMNS` (input features; entries of an
            embedding).
        width: Consecutive rows or columns of one unit.
        blocks: How often the units repeat along the dimension (fused qkv, gated FFN).
        gated: Whether a gate on the unit scales this side; the other sides are only cut.
    """

    group: str
    layer: int
    module: str
    dim: Literal[0, 1]
    width: int = 1
    blocks: int = 1
    gated: bool = False


def mask_shape(encoder: Encoder, group: str) -> tuple[int, int]:
    """Return [layers, units] of a group's mask; [1, units] for hidden dimensions.

    Raises:
        UnsupportedModelError: The encoder has no such units.
    """
    if group == "layer" and not encoder.family.layers_can_go:
        raise UnsupportedModelError(
            f"this {encoder.model_type.name} cannot lose layers: the others would compute something else",
            f"take other groups: {', '.join(GROUPS)}",
        )
    if group == "hidden":
        stream_of(encoder)
        return 1, encoder.hidden
    units = {
        "head": encoder.heads,
        "ffn_int": encoder.intermediate,
        "ffn_out": encoder.hidden,
        "ffn_in": encoder.hidden,
        "layer": 1,
    }
    return encoder.layers, units[group]


def touches(encoder: Encoder, group: str, layer: int) -> list[Touch]:
    """Return the sides of the layer's linears that belong to the group's units.

    None belong to the layer as a whole. To hidden dimensions belong those of the whole encoder, in whatever layer.
    """
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
    if group == "hidden":
        return _on_stream(encoder)
    raise ValueError(f"no such group: {group}")


def stream_of(encoder: Encoder) -> Stream:
    """Return what stands on the residual stream.

    Raises:
        UnsupportedModelError: The table does not say it.
    """
    if encoder.stream is None:
        raise UnsupportedModelError(
            f"hidden dimensions of a {encoder.model_type.name} cannot go: its table names no stream",
            f"take other groups: {', '.join(GROUPS)}",
        )
    return encoder.stream


def reader_of(encoder: Encoder, architecture: str | None) -> str:
    """Return the linear that reads the last hidden state in a model of a class, named from the whole model.

    Raises:
        UnsupportedModelError: The table does not say it: outputs of the model are hidden states, say.
    """
    stem, readers = encoder.model_type.stem, stream_of(encoder).readers
    head = (architecture or "").removeprefix("Pruned").removeprefix(stem)
    if head not in readers:
        raise UnsupportedModelError(
            f"hidden dimensions of a {architecture} cannot go",
            f"models whose hidden dimensions can: {', '.join(stem + name for name in readers)}",
        )
    return readers[head]


def _on_stream(encoder: Encoder) -> list[Touch]:
    """Return the sides that are as wide as the residual stream. Shut norms leave nothing to gate behind them."""
    stream, attention, ffn = stream_of(encoder), encoder.family.attention, encoder.family.ffn
    layers = range(encoder.layers)

    def touch(name: str, dim: Literal[0, 1], gated: bool = False) -> Touch:
        return Touch("hidden", 0, name, dim, gated=gated)

    return [
        *(touch(name, COLUMNS) for name in stream.embeddings),
        *(touch(name, ROWS, gated=True) for name in (stream.widened_by, *stream.norms) if name),
        *(touch(encoder.module(n, name), ROWS, gated=True) for n in layers for name in stream.layer_norms),
        *(
            touch(encoder.module(n, name), COLUMNS)
            for n in layers
            for name in (*attention.inputs, *ffn.inputs)
        ),
        *(touch(encoder.module(n, name), ROWS) for n in layers for name in (attention.output, ffn.output)),
    ]


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
