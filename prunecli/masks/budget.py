"""What an encoder costs: floating-point operations and parameters of its layers, by the linears' shapes.

Counted analytically, since `FlopCounterMode` sees no attention under sdpa on CPU (pytorch#195460); a test
compares the two under eager attention. One multiply-add is two operations. Embeddings, norms, softmax and
the task head are left out of FLOPs, as in the literature; parameters of whole checkpoints are counted from
their headers. DeBERTa's products with relative positions are not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from prunecli.encoders import Encoder
from prunecli.masks.mask_set import MaskSet
from prunecli.masks.units import biased_linears, linear_shapes, touches

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class LayerShapes:
    """A layer after a cut; one that has gone has no linears.

    Attributes:
        heads: Heads that are left.
        neurons: Intermediate neurons that are left.
        linears: [out, in] of each linear, by module name seen from the bare encoder.
        biased: Those with a bias.
    """

    heads: int
    neurons: int
    linears: Mapping[str, Shape]
    biased: frozenset[str]

    def flops(self, tokens: int, head_size: int) -> int:
        """Count the operations for one sequence of `tokens` tokens."""
        projections = sum(2 * tokens * rows * columns for rows, columns in self.linears.values())
        attention = 2 * 2 * tokens * tokens * head_size * self.heads  # query x key, weights x value
        return projections + attention

    @property
    def parameters(self) -> int:
        """Count weights and biases of the linears."""
        return sum(
            rows * columns + rows * (name in self.biased) for name, (rows, columns) in self.linears.items()
        )


def layer_shapes(encoder: Encoder, masks: MaskSet) -> list[LayerShapes]:
    """Return the shapes that each layer has once the masks are cut."""
    return [
        layer_shape(encoder, layer, {group: len(masks.kept(group, layer, encoder)) for group in masks.masks})
        for layer in range(encoder.layers)
    ]


def layer_shape(encoder: Encoder, layer: int, kept: Mapping[str, int]) -> LayerShapes:
    """Return the shapes of a layer that keeps so many units of a group; groups that are not named keep all."""
    if kept.get("layer") == 0:
        return LayerShapes(0, 0, {}, frozenset())
    shapes = {name: list(shape) for name, shape in linear_shapes(encoder, layer).items()}
    for group, units in kept.items():
        for touch in touches(encoder, group, layer):
            if touch.module not in shapes:
                continue  # of another layer, or no linear
            shapes[touch.module][touch.dim] = units * touch.width * touch.blocks
    return LayerShapes(
        heads=kept.get("head", encoder.heads),
        neurons=kept.get("ffn_int", encoder.intermediate),
        linears={name: (shape[0], shape[1]) for name, shape in shapes.items()},
        biased=biased_linears(encoder, layer),
    )


def encoder_flops(encoder: Encoder, masks: MaskSet, tokens: int) -> int:
    """Count the operations of all layers for one sequence of `tokens` tokens."""
    once = sum(layer.flops(tokens, encoder.head_size) for layer in layer_shapes(encoder, masks))
    return once * encoder.repeats


def layer_parameters(encoder: Encoder, masks: MaskSet) -> int:
    """Count the parameters of all layers' linears (embeddings, norms and head not included)."""
    return sum(layer.parameters for layer in layer_shapes(encoder, masks))
