"""masks.safetensors: one tensor [layers, units] a group, and the logits that decided, where they are known.

The names that Kwon et al. (2022) gave their masks are understood as well.
"""

from pathlib import Path

import numpy as np

from prunecli.checkpoints.number_types import NUMPY_TYPES, as_bits, to_floats
from prunecli.checkpoints.safetensors_file import Declared, read_header, read_metadata, serialize
from prunecli.errors import InputError
from prunecli.masks.mask_set import Array, MaskSet
from prunecli.masks.units import EVERY_GROUP

FILE = "masks.safetensors"
LOGITS = "logits."
OTHER_NAMES = {"head_mask": "head", "neuron_mask": "ffn_int"}


def read(path: Path) -> MaskSet:
    """Read a file; masks of any number type become float32.

    Raises:
        InputError: The file is broken, or holds other tensors than masks.
    """
    masks: dict[str, Array] = {}
    logits: dict[str, Array] = {}
    for name, entry in read_header(path).items():
        group = OTHER_NAMES.get(name, name).removeprefix(LOGITS)
        if group not in EVERY_GROUP:
            raise InputError(
                f"{path} is not a mask file: tensor {name!r}", f"groups are {', '.join(EVERY_GROUP)}"
            )
        if entry.dtype != "BF16" and entry.dtype not in NUMPY_TYPES:
            raise InputError(f"{path}: mask {name} is of type {entry.dtype}", "save masks as float32")
        values = to_floats(as_bits(entry.read(), entry.dtype, entry.shape), entry.dtype).astype(np.float32)
        (logits if name.startswith(LOGITS) else masks)[group] = values
    if not masks:
        raise InputError(
            f"{path} holds no masks", f"a mask file holds tensors named {', '.join(EVERY_GROUP)}"
        )
    return MaskSet(masks, logits, read_metadata(path))


def write(masks: MaskSet, folder: Path) -> None:
    """Write a set with its logits and provenance; the same set gives the same bytes."""
    tensors = {**masks.masks, **{LOGITS + group: logits for group, logits in masks.logits.items()}}
    plain = {name: np.ascontiguousarray(tensor, dtype="<f4") for name, tensor in sorted(tensors.items())}
    declared = [Declared(name, "F32", tensor.shape) for name, tensor in plain.items()]
    with (folder / FILE).open("wb") as file:
        file.writelines(
            serialize(declared, (tensor.tobytes() for tensor in plain.values()), masks.provenance)
        )
