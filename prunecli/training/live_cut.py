"""Cutting a live model, so that what is trained is already as small as what will be shipped; and putting it back.

The modeling file that travels in pruned folders does the resizing here, too.
"""

from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from prunecli.encoders import Encoder
from prunecli.masks import MaskSet
from prunecli.masks.units import ROWS, touches
from prunecli.models.modeling_pruned import resize
from prunecli.shrink.plan import INDEX_NAMES, resized, spread

Kept = dict[str, dict[int, npt.NDArray[np.intp]]]  # what stays of each tensor, by name and dimension


@torch.no_grad()
def cut_live(model: nn.Module, encoder: Encoder, masks: MaskSet) -> None:
    """Cut a stock model in place.

    Args:
        model: Without gates.
        encoder: Its table and sizes.
        masks: What stays; values other than zero count as one.
    """
    base = model.base_model
    assert isinstance(base, nn.Module)
    kept = _kept(encoder, masks)
    smaller = {name: _part(tensor, kept.get(name, {})).clone() for name, tensor in base.state_dict().items()}
    resize(base, SimpleNamespace(**resized(encoder, masks)))  # type: ignore[no-untyped-call]
    for name, tensor in base.state_dict().items():
        tensor.copy_(smaller[name] if name in smaller else _index(name, encoder, masks))


@torch.no_grad()
def put_back(model: nn.Module, cut: nn.Module, encoder: Encoder, masks: MaskSet) -> None:
    """Write a cut model's parameters into the kept places of a model of the dense shape."""
    base, head = cut.base_model, dict(cut.state_dict())
    whole = model.state_dict()
    assert isinstance(base, nn.Module)
    kept = _kept(encoder, masks)
    prefix = next((f"{name}." for name, module in cut.named_modules() if module is base and name), "")
    for name, tensor in head.items():
        if name in whole:
            keep = kept.get(name.removeprefix(prefix), {})
            index = np.ix_(*(keep.get(dim, np.arange(size)) for dim, size in enumerate(whole[name].shape)))
            whole[name][index] = tensor.to(whole[name])


def _kept(encoder: Encoder, masks: MaskSet) -> Kept:
    kept: Kept = {}
    for group in masks.masks:
        for layer in range(encoder.layers):
            units = masks.kept(group, layer, encoder)
            for touch in touches(encoder, group, layer):
                index, _ = spread(touch, units, np.ones(len(units), np.float32), masks.masks[group].shape[1])
                kept.setdefault(f"{touch.linear}.weight", {})[touch.dim] = index
                if touch.dim == ROWS:
                    kept.setdefault(f"{touch.linear}.bias", {})[0] = index
    return kept


def _part(tensor: Tensor, keep: dict[int, npt.NDArray[np.intp]]) -> Tensor:
    for dim, index in keep.items():
        tensor = tensor.index_select(dim, torch.from_numpy(index).to(tensor.device))
    return tensor


def _index(name: str, encoder: Encoder, masks: MaskSet) -> Tensor:
    """Return the features that a linear gathers or scatters."""
    for group, suffix in INDEX_NAMES.items():
        for layer in range(encoder.layers):
            if any(name == touch.linear + suffix for touch in touches(encoder, group, layer)):
                return torch.from_numpy(masks.kept(group, layer, encoder))
    raise KeyError(name)
