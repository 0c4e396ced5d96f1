"""Cutting a live model, so that what is trained is already as small as what will be shipped; and putting it back.

The modeling file that travels in pruned folders does the resizing here, too.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from prunecli.encoders import Encoder
from prunecli.masks import MaskSet
from prunecli.masks.units import ROWS, touches
from prunecli.models.modeling_pruned import narrow, resize
from prunecli.shrink.config_changes import narrowed_head, resized
from prunecli.shrink.plan import INDEX_NAMES, spread
from prunecli.training.gates import NAME

Kept = dict[str, dict[int, npt.NDArray[np.intp]]]  # what stays of each tensor, by name and dimension


@torch.no_grad()
def cut_live(model: nn.Module, encoder: Encoder, masks: MaskSet) -> None:
    """Cut a stock model in place.

    Args:
        model: Without gates.
        encoder: Its table and sizes.
        masks: What stays; values other than zero count as one.
    """
    base, head = model.base_model, _head(model, encoder, masks)
    assert isinstance(base, nn.Module)
    kept, changes = _kept(model, encoder, masks), SimpleNamespace(**resized(encoder, masks))
    smaller = {name: _part(tensor, kept.get(name, {})).clone() for name, tensor in model.state_dict().items()}
    resize(base, changes)  # type: ignore[no-untyped-call]
    narrow(model, head, changes.hidden_dimensions)  # type: ignore[no-untyped-call]
    prefix = _prefix(model)
    for name, tensor in model.state_dict().items():
        tensor.copy_(smaller[name] if name in smaller else _index(name.removeprefix(prefix), encoder, masks))


@torch.no_grad()
def put_back(model: nn.Module, cut: nn.Module, encoder: Encoder, masks: MaskSet) -> None:
    """Write a cut model's parameters into the kept places of a model of the dense shape."""
    whole, kept = model.state_dict(), _kept(model, encoder, masks)
    for name, tensor in cut.state_dict().items():
        if name in whole:
            keep = kept.get(name, {})
            index = np.ix_(*(keep.get(dim, np.arange(size)) for dim, size in enumerate(whole[name].shape)))
            whole[name][index] = tensor.to(whole[name])


def parameters_left(model: nn.Module, encoder: Encoder, masks: MaskSet) -> int:
    """Count the parameters that a model of the dense shape has once the masks are cut; gates do not count."""
    kept, prefix = _kept(model, encoder, masks), _prefix(model)
    gone = tuple(f"{prefix}{layer}." for layer in resized(encoder, masks)["without_layers"])
    return sum(
        math.prod(len(kept.get(name, {}).get(dim, range(size))) for dim, size in enumerate(parameter.shape))
        for name, parameter in model.named_parameters()
        if not name.startswith((f"{NAME}.", *gone))
    )


def _prefix(model: nn.Module) -> str:
    """Return what the encoder's tensors begin with inside a model."""
    base = model.base_model
    return next((f"{name}." for name, module in model.named_modules() if module is base and name), "")


def _kept(model: nn.Module, encoder: Encoder, masks: MaskSet) -> Kept:
    kept, prefix = Kept(), _prefix(model)
    for group, mask in masks.masks.items():
        for layer in range(len(mask)):
            units = masks.kept(group, layer, encoder)
            for touch in touches(encoder, group, layer):
                index, _ = spread(touch, units, np.ones(len(units), np.float32), mask.shape[1])
                kept.setdefault(f"{prefix}{touch.module}.weight", {})[touch.dim] = index
                if touch.dim == ROWS:
                    kept.setdefault(f"{prefix}{touch.module}.bias", {})[0] = index
    for name, dim in _head(model, encoder, masks).items():
        kept[f"{name}.weight"] = {dim: masks.kept("hidden", 0, encoder)}
    return kept


def _head(model: nn.Module, encoder: Encoder, masks: MaskSet) -> dict[str, int]:
    """Return the linears of its heads that read hidden dimensions, where some are gone."""
    config: Any = model.config
    return narrowed_head(encoder, masks, config.to_dict(), type(model).__name__)


def _part(tensor: Tensor, keep: dict[int, npt.NDArray[np.intp]]) -> Tensor:
    for dim, index in keep.items():
        tensor = tensor.index_select(dim, torch.from_numpy(index).to(tensor.device))
    return tensor


def _index(name: str, encoder: Encoder, masks: MaskSet) -> Tensor:
    """Return the features that a linear gathers or scatters."""
    for group, suffix in INDEX_NAMES.items():
        for layer in range(encoder.layers):
            if any(name == touch.module + suffix for touch in touches(encoder, group, layer)):
                return torch.from_numpy(masks.kept(group, layer, encoder))
    raise KeyError(name)
