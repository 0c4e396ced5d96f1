"""What keeping units costs: a table a sublayer, in operations, parameters or milliseconds.

Heads and intermediate neurons have prices that add up; FFN inputs and outputs have not (what one costs depends
on how many neurons stay), so a budget chooses among the first two only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prunecli.encoders import Encoder
from prunecli.masks.units import ROWS, biased_linears, linear_shapes, mask_shape, touches

GROUPS = ("head", "ffn_int")

Table = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of every width of every sublayer.

    Attributes:
        unit: What is counted: `flops`, `params` or `ms`.
        tables: [layers, units + 1] a group: the price of a layer that keeps 0, 1, 2 ... units.
        fixed: What the encoder's layers cost with all these units gone.
    """

    unit: str
    tables: Mapping[str, Table]
    fixed: float

    @property
    def dense(self) -> float:
        """Return the price of all units."""
        return self.fixed + sum(float(table[:, -1].sum()) for table in self.tables.values())

    def only(self, groups: Sequence[str]) -> "Prices":
        """Return the same prices where only these groups may lose units; what the others cost is fixed."""
        others = [table for group, table in self.tables.items() if group not in groups]
        kept = {group: self.tables[group] for group in groups}
        return Prices(self.unit, kept, self.fixed + sum(float(table[:, -1].sum()) for table in others))

    def of_layers(self) -> "Prices":
        """Return the prices of the same encoder where only whole layers may go; all layers cost the same."""
        layers = len(next(iter(self.tables.values())))
        outside = (
            self.fixed if self.unit == "ms" else 0.0
        )  # operations and parameters are those of layers alone
        each = (self.dense - outside) / layers
        return Prices(self.unit, {"layer": np.tile([0.0, each], (layers, 1))}, outside)

    def of(self, widths: Mapping[str, list[int]]) -> float:
        """Return the price of layers of these widths."""
        rows = ((self.tables[group], kept) for group, kept in widths.items())
        return self.fixed + sum(float(table[range(len(kept)), kept].sum()) for table, kept in rows)


def flops(encoder: Encoder, tokens: int) -> Prices:
    """Return operations of one sequence of `tokens` tokens; a multiply-add is two."""
    each = {group: 2 * tokens * elements(encoder, group) * encoder.repeats for group in GROUPS}
    each["head"] += 4 * tokens * tokens * encoder.head_size * encoder.repeats  # query x key, weights x value
    return _linear("flops", encoder, each)


def parameters(encoder: Encoder) -> Prices:
    """Return parameters: weights, and the biases that go with rows."""
    each = {}
    for group in GROUPS:
        rows = [touch for touch in touches(encoder, group, 0) if touch.dim == ROWS]
        biases = sum(
            touch.width * touch.blocks for touch in rows if touch.linear in biased_linears(encoder, 0)
        )
        each[group] = elements(encoder, group) + biases
    outputs = sum(
        linear_shapes(encoder, 0)[touch.linear][0]  # the output linears' own biases stay
        for group in GROUPS
        for touch in touches(encoder, group, 0)
        if touch.gated and touch.linear in biased_linears(encoder, 0)
    )
    return _linear("params", encoder, each, fixed=float(outputs * encoder.layers))


def elements(encoder: Encoder, group: str) -> int:
    """Count the weights that one unit owns."""
    if group == "layer":
        return sum(rows * columns for rows, columns in linear_shapes(encoder, 0).values())
    shapes = linear_shapes(encoder, 0)
    return sum(
        touch.width * touch.blocks * shapes[touch.linear][1 - touch.dim]
        for touch in touches(encoder, group, 0)
    )


def _linear(unit: str, encoder: Encoder, each: Mapping[str, int], fixed: float = 0.0) -> Prices:
    tables = {}
    for group, price in each.items():
        layers, units = mask_shape(encoder, group)
        tables[group] = np.tile(np.arange(units + 1, dtype=np.float64) * price, (layers, 1))
    return Prices(unit, tables, fixed)
