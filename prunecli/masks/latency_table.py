"""Measured times of an encoder's sublayers at some widths, as a file, and as prices of every width.

`prunecli benchmark CHECKPOINT --table` measures one (`prunecli.inference.sublayer_times`). Times of the same
shapes on the same machine need to be measured once, so tables are kept in the user's cache folder.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.atomic import partial_path
from prunecli.encoders import Encoder
from prunecli.errors import InputError, mend
from prunecli.masks.prices import Prices, Table
from prunecli.masks.units import PRICED_GROUPS, mask_shape

MEASURE_AGAIN = "measure it again with `prunecli benchmark CHECKPOINT --table`"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a time depends on: two measurements of one setting shall give the same.

    Attributes:
        model_type: The family of the encoder.
        layers: Layers with weights of their own.
        heads: Attention heads a layer.
        head_size: Width of a head.
        hidden: Width of the residual stream.
        intermediate: Neurons a layer.
        repeats: How often each layer is computed.
        head: The model's class without its stem; it is part of what no cut makes faster.
        batch_size: Sequences a batch.
        tokens: Tokens a sequence.
        device: Kind and name of the processor.
        threads: Threads that torch may use.
        torch: Version of torch.
        transformers: Version of transformers.
    """

    model_type: str
    layers: int
    heads: int
    head_size: int
    hidden: int
    intermediate: int
    repeats: int
    head: str
    batch_size: int
    tokens: int
    device: str
    threads: int
    torch: str
    transformers: str

    def fits(self, encoder: Encoder) -> bool:
        """Say whether an encoder has the family and the shapes that were measured."""
        return shapes_of(encoder) == {name: getattr(self, name) for name in shapes_of(encoder)}

    @property
    def file(self) -> Path:
        """Return where the table of this setting is kept: in `$XDG_CACHE_HOME` or `~/.cache`."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        name = f"{self.model_type}-{self.batch_size}x{self.tokens}-{digest[:16]}.json"
        return cache / "prunecli" / "latency" / name


def shapes_of(encoder: Encoder) -> dict[str, Any]:
    """Return the entries of a setting that an encoder decides."""
    names = ("layers", "heads", "head_size", "hidden", "intermediate", "repeats")
    return {"model_type": encoder.model_type.name, **{name: getattr(encoder, name) for name in names}}


@dataclass(frozen=True, slots=True)
class SublayerTimes:
    """The time of one sublayer at ascending widths, above that of a layer that has lost it.

    Attributes:
        widths: Units that are left: the first is 0, the last is all of them.
        ms: Milliseconds: medians, made monotone.
        low: Lower quartile of what was measured.
        high: Upper quartile.
    """

    widths: tuple[int, ...]
    ms: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def check(self, units: int) -> None:
        """Refuse what no measurement can have given.

        Raises:
            InputError: It says what is wrong.
        """
        rows = (self.ms, self.low, self.high)
        if any(len(row) != len(self.widths) for row in rows):
            raise InputError("widths, ms, low and high are not of one length")
        if not all(isinstance(width, int) for width in self.widths) or (
            list(self.widths) != sorted(set(self.widths)) or {0, units} - set(self.widths)
        ):
            raise InputError(f"widths do not ascend from 0 to {units}")
        if not all(isinstance(value, (int, float)) for row in rows for value in row):
            raise InputError("a time is not a number")
        if list(self.ms) != sorted(self.ms) or self.ms[0] < 0:
            raise InputError("ms are below zero, or fall where widths grow")


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """What was measured of one setting.

    Attributes:
        setting: The setting.
        sublayers: Times of the sublayer of each group of units: `head`, `ffn_int`.
        fixed_ms: Median time of the whole model with every sublayer gone.
        whole_ms: Median time of the whole model with every unit in it; it should be about the sum of the parts.
        rounds: Measurements of each.
    """

    setting: Setting
    sublayers: Mapping[str, SublayerTimes]
    fixed_ms: float
    whole_ms: float
    rounds: int

    @property
    def sum_ms(self) -> float:
        """Return what the parts say of the whole model."""
        layers = self.setting.layers * self.setting.repeats
        return self.fixed_ms + layers * sum(times.ms[-1] for times in self.sublayers.values())

    def write(self, path: Path) -> None:
        """Write the table as JSON; the file appears whole or not at all.

        Raises:
            InputError: The file cannot be written.
        """
        partial = partial_path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            strict_json.write_json(partial, asdict(self))
            partial.replace(path)
        except OSError as error:
            raise InputError(f"{path} could not be written: {error.strerror}", mend(error)) from None

    @classmethod
    def read(cls, path: Path) -> "LatencyTable":
        """Read a table that `write` wrote.

        Raises:
            InputError: The file is missing, broken, or holds no table.
        """
        value = strict_json.read_object(path)
        try:
            setting = _made(Setting, value["setting"])
            sublayers = {group: _made(SublayerTimes, value["sublayers"][group]) for group in PRICED_GROUPS}
            numbers = {name: value[name] for name in ("fixed_ms", "whole_ms", "rounds")}
            if not all(isinstance(number, (int, float)) and number > 0 for number in numbers.values()):
                raise InputError(f"one of {', '.join(numbers)} is no number above zero")
            for group, units in (("head", setting.heads), ("ffn_int", setting.intermediate)):
                sublayers[group].check(units)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{path} is no latency table: {error} is missing or wrong", MEASURE_AGAIN
            ) from None
        except InputError as error:
            raise InputError(f"{path} is no latency table: {error.message}", MEASURE_AGAIN) from None
        return cls(setting, sublayers, **numbers)


def latency_prices(encoder: Encoder, table: LatencyTable) -> Prices:
    """Return milliseconds of every width of every sublayer, straight lines between the widths that were measured.

    Args:
        encoder: The model that shall be pruned.
        table: Times of its shapes.

    Raises:
        InputError: The table was measured for other shapes.
    """
    if not table.setting.fits(encoder):
        found, wanted = asdict(table.setting), shapes_of(encoder)
        name = next(name for name in wanted if found[name] != wanted[name])
        raise InputError(
            f"the latency table is of another encoder: {name} is {found[name]}, not {wanted[name]}",
            MEASURE_AGAIN,
        )
    tables: dict[str, Table] = {}
    for group, times in table.sublayers.items():
        layers, units = mask_shape(encoder, group)
        prices = np.interp(np.arange(units + 1), times.widths, times.ms) * encoder.repeats
        least = next(
            width for width in times.widths if width
        )  # narrower ones cost as much, not in proportion
        prices[1:least] = prices[least]
        tables[group] = np.tile(prices, (layers, 1))
    return Prices("ms", tables, table.fixed_ms)


def _made(cls: type[Any], value: Any) -> Any:
    """Make a dataclass of a JSON object that has exactly its fields."""
    names = {field.name for field in fields(cls)}
    if not isinstance(value, dict) or value.keys() != names:
        raise InputError(f"{cls.__name__} has not the entries {', '.join(sorted(names))}")
    return cls(**{name: tuple(item) if isinstance(item, list) else item for name, item in value.items()})
