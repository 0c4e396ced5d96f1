"""How long a sublayer takes at each width, measured on live layers of the family's own class.

A layer that has lost one sublayer and is cut to some width in the other is put into a model of one layer; what
this takes above a layer that has lost both is the price of that width. Layers of all widths take turns, which
also means that their weights come from memory, not from a cache, as they do in a whole model.
"""

import copy
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from transformers import PreTrainedModel

from prunecli.checkpoints.folder import Checkpoint
from prunecli.encoders import Encoder, for_config
from prunecli.errors import InputError
from prunecli.inference.random_batch import random_batch
from prunecli.inference.timing import Spread, device_name, take_turns, threads
from prunecli.masks import MaskSet
from prunecli.masks.latency_table import LatencyTable, Setting, SublayerTimes, shapes_of
from prunecli.masks.units import PRICED_GROUPS, mask_shape
from prunecli.models import pruned
from prunecli.models.loading import new_model
from prunecli.models.modeling_pruned import resize
from prunecli.models.shipped import encoder_of, head_of, inner_config
from prunecli.shrink.config_changes import resized

log = logging.getLogger(__name__)

STEP, DENSE_BELOW, STEPS_ABOVE = (
    32,
    256,
    16,
)  # numbers of neurons: every 32nd below 256, then wider and wider steps


@dataclass(frozen=True, slots=True)
class Shape:
    """A batch.

    Attributes:
        batch_size: Sequences.
        tokens: Tokens a sequence.
    """

    batch_size: int
    tokens: int


def table_for(
    checkpoint: Checkpoint, shape: Shape, device: torch.device, count: int = 1, rounds: int = 20
) -> LatencyTable:
    """Return the latency table of a checkpoint's dense shapes: from the cache, else measured and put there.

    Args:
        checkpoint: A stock or pruned checkpoint.
        shape: The batch to be fast at.
        device: Where to compute.
        count: Threads that torch may use.
        rounds: Measurements of each width.
    """
    file = setting_of(checkpoint, shape, device, count).file
    if file.is_file():
        return LatencyTable.read(file)
    table = measure(checkpoint, shape, device, count, rounds)
    keep(table)
    return table


def keep(table: LatencyTable) -> Path | None:
    """Put a table where the next run finds it; return None where it cannot be kept, and is measured again then."""
    try:
        table.write(table.setting.file)
    except InputError as error:
        log.warning("%s", error.message)
        return None
    return table.setting.file


def time_share(
    checkpoint: Checkpoint,
    masks: MaskSet,
    shape: Shape,
    device: torch.device,
    count: int = 1,
    rounds: int = 30,
) -> float:
    """Return what share of the dense model's time the cut model takes: the two in turn, with random weights.

    Args:
        checkpoint: The dense checkpoint.
        masks: What stays.
        shape: The batch.
        device: Where to compute.
        count: Threads that torch may use.
        rounds: Measurements of each; the share is the median of their ratios.
    """
    setting = setting_of(checkpoint, shape, device, count)
    encoder = encoder_of(checkpoint)
    whole = new_model(pruned.stock_config(inner_config(checkpoint.config)), encoder, setting.head)
    cut = copy.deepcopy(whole)
    _resize(cut, encoder, masks)
    for model in (whole, cut):
        model.to(device)  # type: ignore[arg-type]
    inputs = random_batch(whole, setting.head, shape.batch_size, shape.tokens)
    with threads(count):
        dense, less = take_turns([partial(whole, **inputs), partial(cut, **inputs)], rounds, device)
    return median(small / whole for small, whole in zip(less, dense, strict=True))


def measure(
    checkpoint: Checkpoint, shape: Shape, device: torch.device, count: int, rounds: int
) -> LatencyTable:
    """Measure a latency table; see `table_for`."""
    setting = setting_of(checkpoint, shape, device, count)
    with threads(count):
        whole, fixed = _whole_times(checkpoint, setting, device, rounds)
        sublayers = _sublayer_times(checkpoint, setting, device, rounds)
    return LatencyTable(setting, sublayers, fixed, whole, rounds)


def setting_of(checkpoint: Checkpoint, shape: Shape, device: torch.device, count: int) -> Setting:
    """Return what a checkpoint's times depend on."""
    encoder = encoder_of(checkpoint)
    return Setting(
        **shapes_of(encoder),
        head=head_of(checkpoint),
        batch_size=shape.batch_size,
        tokens=shape.tokens,
        device=device_name(device),
        threads=count,
        torch=torch.__version__,
        transformers=transformers.__version__,
    )


def levels(units: int, group: str) -> list[int]:
    """Return the widths to measure: every number of heads; about 24 numbers of neurons, dense where they are few."""
    if group == "head":
        return list(range(units + 1))
    if units <= DENSE_BELOW:
        return sorted({*range(0, units, -(-units // (DENSE_BELOW // STEP))), units})
    above = np.geomspace(DENSE_BELOW, units, STEPS_ABOVE + 1)[:-1]
    return sorted({*range(0, DENSE_BELOW, STEP), *(round(width / STEP) * STEP for width in above), units})


def _whole_times(
    checkpoint: Checkpoint, setting: Setting, device: torch.device, rounds: int
) -> tuple[float, float]:
    """Return the median time of the whole model, and of one that has lost every sublayer."""
    encoder = encoder_of(checkpoint)
    whole = new_model(pruned.stock_config(inner_config(checkpoint.config)), encoder, setting.head)
    empty = copy.deepcopy(whole)
    _cut(empty, encoder, {})
    for model in (whole, empty):
        model.to(device)  # type: ignore[arg-type]
    inputs = random_batch(whole, setting.head, setting.batch_size, setting.tokens)
    times = take_turns([partial(whole, **inputs), partial(empty, **inputs)], rounds, device)
    return median(times[0]), median(times[1])


def _sublayer_times(
    checkpoint: Checkpoint, setting: Setting, device: torch.device, rounds: int
) -> dict[str, SublayerTimes]:
    """Let layers of all widths take turns in a model of one layer."""
    entries = _one_layer(checkpoint)
    encoder = for_config(entries)
    model = new_model(entries, encoder, "Model")
    model.to(device)  # type: ignore[arg-type]
    name = encoder.layer(0)
    stock = model.get_submodule(name)
    widths = [{}, *({group: width} for group in PRICED_GROUPS for width in _levels(encoder, group)[1:])]
    layers = []
    for kept in widths:
        model.set_submodule(name, copy.deepcopy(stock))
        _cut(model, encoder, kept)
        layers.append(model.get_submodule(name).to(device))
    inputs = random_batch(model, "Model", setting.batch_size, setting.tokens)

    def run(layer: nn.Module) -> None:
        model.set_submodule(name, layer)
        model(**inputs)

    nothing, *times = take_turns([partial(run, layer) for layer in layers], rounds, device)
    above = iter([[slow - fast for slow, fast in zip(row, nothing, strict=True)] for row in times])
    return {group: _monotone(_levels(encoder, group), above) for group in PRICED_GROUPS}


def _monotone(widths: list[int], times: Iterator[list[float]]) -> SublayerTimes:
    """Sum up the rounds of ascending widths above 0; no width is said to be faster than a smaller one."""
    spreads = [Spread.of(next(times)) for _ in widths[1:]]
    ms = np.maximum.accumulate([0.0, *(spread.median for spread in spreads)])
    low, high = ((0.0, *(getattr(spread, side) for spread in spreads)) for side in ("low", "high"))
    return SublayerTimes(tuple(widths), tuple(ms.tolist()), low, high)


def _levels(encoder: Encoder, group: str) -> list[int]:
    return levels(mask_shape(encoder, group)[1], group)


def _cut(model: PreTrainedModel, encoder: Encoder, kept: Mapping[str, int]) -> None:
    """Leave the first units of each group in every layer; of a group that is not named, none."""
    masks = {group: np.zeros(mask_shape(encoder, group), dtype=np.float32) for group in PRICED_GROUPS}
    for group, width in kept.items():
        masks[group][:, :width] = 1.0
    _resize(model, encoder, MaskSet(masks))


def _resize(model: PreTrainedModel, encoder: Encoder, masks: MaskSet) -> None:
    changes = resized(encoder, masks)
    resize(model.base_model, SimpleNamespace(**changes))  # type: ignore[no-untyped-call]


def _one_layer(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the config of the stock encoder with its first layer only."""
    entries = pruned.stock_config(inner_config(checkpoint.config))
    family = encoder_of(checkpoint).family
    sizes = dict.fromkeys(filter(None, (family.layers_field, family.repeats_field)), 1)
    kinds = {"layer_types": entries["layer_types"][:1]} if entries.get("layer_types") else {}
    return {**entries, **sizes, **kinds}
