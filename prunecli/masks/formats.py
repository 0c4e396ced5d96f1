"""Mask files: ours, and those that the field reads.

    masks.safetensors          one float32 tensor [layers, units] a group, `logits.<group>` where learned
    head_mask.pt               [layers, heads]          \
    ffn_intermediate_mask.pt   [layers, intermediate]    } plain 0/1 float tensors, all ones where not learned
    ffn_output_mask.pt         [layers, hidden]         /

In files of the original framework the FFN masks scale the *inputs* of the two FFN linears, so there
`ffn_intermediate_mask` is [layers, hidden] (our `ffn_in`) and `ffn_output_mask` is [layers, intermediate]
(our `ffn_int`). The shapes tell which is meant.
"""

from pathlib import Path
from typing import Any

import numpy as np

from prunecli.checkpoints.safetensors_file import read_header, read_metadata
from prunecli.encoders import Encoder
from prunecli.errors import InputError, MaskError
from prunecli.masks.mask_set import Array, MaskSet
from prunecli.masks.units import GROUPS, mask_shape

FILE = "masks.safetensors"
HEAD, INTERMEDIATE, OUTPUT = "head_mask.pt", "ffn_intermediate_mask.pt", "ffn_output_mask.pt"
PT_FILES = {HEAD: "head", INTERMEDIATE: "ffn_int", OUTPUT: "ffn_out"}
LOGITS = "logits."


def read(path: Path, encoder: Encoder) -> MaskSet:
    """Read masks for a model: a safetensors file, or a folder that holds one or the `.pt` files.

    Raises:
        InputError: There is no mask file, or it is broken.
        MaskError: A `.pt` mask has a shape that belongs to no group of this model.
    """
    if path.is_dir():
        if (path / FILE).is_file():
            return _read_safetensors(path / FILE)
        if any((path / name).is_file() for name in PT_FILES):
            return _read_pt(path, encoder)
        raise InputError(
            f"{path} holds no masks", f"a folder of masks holds {FILE}, or some of {', '.join(PT_FILES)}"
        )
    if not path.is_file():
        raise InputError(f"{path} does not exist", "name a mask file or a folder of masks with --masks")
    if path.suffix == ".pt":
        return _read_pt(path.parent, encoder)
    return _read_safetensors(path)


def write(masks: MaskSet, encoder: Encoder, folder: Path) -> None:
    """Write masks into a folder, in our format and as the `.pt` files that the field reads."""
    import torch
    from safetensors.numpy import save_file

    tensors = {**masks.masks, **{LOGITS + group: logits for group, logits in masks.logits.items()}}
    save_file(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        folder / FILE,
        metadata=dict(masks.provenance),
    )
    for name, group in PT_FILES.items():
        torch.save(torch.from_numpy(masks.of(group, encoder).copy()), folder / name)


def _read_safetensors(path: Path) -> MaskSet:
    from safetensors.numpy import load_file

    read_header(path)  # refuses broken files by name
    tensors: dict[str, Array] = {name: array.astype(np.float32) for name, array in load_file(path).items()}
    # The name that Kwon et al. (2022) gave to the intermediate neurons, and their name for heads.
    tensors = {
        {"head_mask": "head", "neuron_mask": "ffn_int"}.get(name, name): array
        for name, array in tensors.items()
    }
    unknown = [name for name in tensors if name.removeprefix(LOGITS) not in GROUPS]
    if unknown:
        raise InputError(
            f"{path} is not a mask file: tensor {unknown[0]!r}", f"groups are {', '.join(GROUPS)}"
        )
    return MaskSet(
        {name: array for name, array in tensors.items() if not name.startswith(LOGITS)},
        {name.removeprefix(LOGITS): array for name, array in tensors.items() if name.startswith(LOGITS)},
        read_metadata(path),
    )


def _read_pt(folder: Path, encoder: Encoder) -> MaskSet:
    found = {name: _load_pt(folder / name) for name in PT_FILES if (folder / name).is_file()}
    masks = {}
    swapped = any(
        name in found and found[name].shape == mask_shape(encoder, group)
        for name, group in ((INTERMEDIATE, "ffn_in"), (OUTPUT, "ffn_int"))
    )
    if swapped and encoder.hidden == encoder.intermediate:
        raise MaskError(
            f"{folder}: hidden and intermediate size are both {encoder.hidden}, so the FFN masks' meaning is open",
            f"save them as {FILE} with the tensors named ffn_int, ffn_out or ffn_in",
        )
    names = {**PT_FILES, INTERMEDIATE: "ffn_in", OUTPUT: "ffn_int"} if swapped else PT_FILES
    for name, array in found.items():
        wanted = mask_shape(encoder, names[name])
        if array.shape != wanted:
            raise MaskError(
                f"{folder / name} ({names[name]}) has shape {list(array.shape)}, the model needs {list(wanted)}",
                "apply masks to the checkpoint that they were learned on",
            )
        masks[names[name]] = array
    return MaskSet(masks)


def _load_pt(path: Path) -> Any:
    import torch

    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
        return tensor.detach().to(torch.float32).numpy()
    except Exception as error:  # torch.load raises many types; every one of them means: not a tensor file
        raise InputError(f"{path} is not a file of one tensor: {type(error).__name__}") from None
