"""What keeping units costs: a table a sublayer, in operations, parameters or milliseconds.

Heads and intermediate neurons have prices that add up; FFN inputs and outputs have not (what one costs depends
on how many neurons stay), so a budget chooses among the first two only, or among whole layers. All prices grow in a
straight line with the hidden dimensions that stay, so those at full width and at none say the others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from prunecli.encoders import Encoder
from prunecli.masks.budget import LayerShapes, layer_shape
from prunecli.masks.units import PRICED_GROUPS, mask_shape

Table = npt.NDArray[np.float64]
UNITS = {"flops": "FLOPs", "params": "parameters", "ms": "time"}  # as people say them


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of every width of every sublayer.

    Attributes:
        unit: What is counted: `flops`, `params` or `ms`.
        tables: [layers, units + 1] a group: the price of a layer that keeps 0, 1, 2 ... units.
        fixed: What the encoder's layers cost with all these units gone.
        narrow: The same with no hidden dimension left; None where these all stay.
        hidden: How many hidden dimensions there are, where some may go.
    """

    unit: str
    tables: Mapping[str, Table]
    fixed: float
    narrow: "Prices | None" = None
    hidden: int = 0

    @property
    def dense(self) -> float:
        """Return the price of all units."""
        return self.fixed + sum(float(table[:, -1].sum()) for table in self.tables.values())

    def of_units(self, group: str) -> Table:
        """Return the mean price of a unit of each layer, [layers, 1]; never 0, so that it can divide."""
        each: Table = np.diff(self.tables[group]).mean(1, keepdims=True).clip(1e-12)
        return each

    def only(self, groups: Sequence[str]) -> "Prices":
        """Return the same prices where only these groups may lose units; what the others cost is fixed.

        Args:
            groups: Groups of units that have prices of their own, with or without `hidden`, or `layer` alone.
        """
        if tuple(groups) == ("layer",):
            return self._of_layers()
        others = [table for group, table in self.tables.items() if group not in groups]
        kept = {group: table for group, table in self.tables.items() if group in groups}
        fixed = self.fixed + sum(float(table[:, -1].sum()) for table in others)
        if "hidden" not in groups or self.narrow is None:
            return Prices(self.unit, kept, fixed)
        return Prices(self.unit, kept, fixed, self.narrow.only(tuple(kept)), self.hidden)

    def at(self, dimensions: int) -> "Prices":
        """Return the prices where so many hidden dimensions stay."""
        assert self.narrow is not None
        share, narrow = dimensions / self.hidden, self.narrow
        tables = {
            group: share * table + (1 - share) * narrow.tables[group] for group, table in self.tables.items()
        }
        return Prices(self.unit, tables, share * self.fixed + (1 - share) * narrow.fixed)

    def _of_layers(self) -> "Prices":
        layers = len(next(iter(self.tables.values())))
        outside = self.fixed if self.unit == "ms" else 0.0  # all that is counted else is in layers
        each = (self.dense - outside) / layers  # they are of one size
        return Prices(self.unit, {"layer": np.tile([0.0, each], (layers, 1))}, outside)

    def of(self, widths: Mapping[str, list[int]]) -> float:
        """Return the price of layers of these widths."""
        if "hidden" in widths:
            others = {group: kept for group, kept in widths.items() if group != "hidden"}
            return self.at(widths["hidden"][0]).of(others)
        rows = ((self.tables[group], kept) for group, kept in widths.items())
        return self.fixed + sum(float(table[range(len(kept)), kept].sum()) for table, kept in rows)


def flops(encoder: Encoder, tokens: int) -> Prices:
    """Return operations of one sequence of `tokens` tokens; a multiply-add is two."""
    return _linear("flops", encoder, lambda layer: layer.flops(tokens, encoder.head_size) * encoder.repeats)


def parameters(encoder: Encoder) -> Prices:
    """Return parameters: weights and biases of the linears."""
    return _linear("params", encoder, lambda layer: layer.parameters)


def _linear(unit: str, encoder: Encoder, count: Callable[[LayerShapes], int]) -> Prices:
    """Return prices of what is counted in a layer, where each unit of a group adds the same."""
    whole = _of_width(unit, encoder, count, {})
    if encoder.stream is None:
        return whole
    return replace(whole, narrow=_of_width(unit, encoder, count, {"hidden": 0}), hidden=encoder.hidden)


def _of_width(
    unit: str, encoder: Encoder, count: Callable[[LayerShapes], int], width: Mapping[str, int]
) -> Prices:
    dense, tables = count(layer_shape(encoder, 0, width)), {}
    for group in PRICED_GROUPS:
        layers, units = mask_shape(encoder, group)
        each = dense - count(layer_shape(encoder, 0, {**width, group: units - 1}))
        tables[group] = np.tile(np.arange(units + 1, dtype=np.float64) * each, (layers, 1))
    kept = sum(float(table[0, -1]) for table in tables.values())
    return Prices(unit, tables, fixed=(dense - kept) * encoder.layers)
