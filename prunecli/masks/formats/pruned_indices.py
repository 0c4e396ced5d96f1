"""JSON that lists what goes, by layer.

{"head": {"0": [1, 3]}, "ffn_int": {"2": [17, 40]}}   groups of units
{"0": [1, 3], "5": [0]}                               heads, as transformers 4 took and wrote them
{"pruned_heads": {"0": [1, 3]}, ...}                  a config.json of transformers 4
"""

from pathlib import Path
from typing import Any

import numpy as np

from prunecli.checkpoints import strict_json
from prunecli.encoders import Encoder
from prunecli.errors import InputError, MaskError
from prunecli.masks.mask_set import MaskSet
from prunecli.masks.units import EVERY_GROUP, mask_shape


def read(path: Path, encoder: Encoder) -> MaskSet:
    """Read a file as masks of zeros and ones.

    Raises:
        InputError: It has none of the three forms.
        MaskError: A layer or unit does not exist in the model.
    """
    content = strict_json.read_object(path)
    if isinstance(content.get("pruned_heads"), dict):
        groups: dict[str, Any] = {"head": content["pruned_heads"]}
    elif content and all(name.isdecimal() for name in content):
        groups = {"head": content}
    else:
        groups = content
    wrong = next(
        (name for name in groups if name not in EVERY_GROUP or not isinstance(groups[name], dict)), None
    )
    if wrong is not None or not groups:
        raise InputError(
            f"{path} lists no pruned units" + (f": {wrong!r} is no group" if wrong else ""),
            f'write {{"head": {{"LAYER": [UNIT, ...]}}}}; groups are {", ".join(EVERY_GROUP)}',
        )
    masks = {group: np.ones(mask_shape(encoder, group), dtype=np.float32) for group in groups}
    for group, layers in groups.items():
        for layer, units in layers.items():
            _clear(masks[group], layer, units, f"{path}: {group}")
    return MaskSet(masks)


def _clear(mask: Any, layer: str, units: Any, name: str) -> None:
    """Set the units of one layer to zero."""
    layers, width = mask.shape
    if not layer.isdecimal() or int(layer) >= layers:
        raise MaskError(f"{name}: there is no layer {layer}, the model has {layers}")
    whole = isinstance(units, list) and all(type(unit) is int and 0 <= unit < width for unit in units)
    if not whole:
        raise MaskError(f"{name}, layer {layer}: {units!r} is no list of units from 0 to {width - 1}")
    mask[int(layer), units] = 0
