"""Mask files: ours, and those that the field has; one file a format.

safetensors_masks.py   masks.safetensors: one float32 tensor [layers, units] a group, `logits.GROUP` where learned
pt_files.py            head_mask.pt, ffn_intermediate_mask.pt, ffn_output_mask.pt, neuron_mask.pt
pruned_indices.py      JSON of what goes: by group and layer, or `pruned_heads` as transformers 4 wrote it
"""

from pathlib import Path

from prunecli.config.shared import MaskConvention
from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.masks.formats import pruned_indices, pt_files, safetensors_masks
from prunecli.masks.formats.safetensors_masks import FILE
from prunecli.masks.mask_set import MaskSet

__all__ = ["FILE", "read", "write"]


def read(path: Path, encoder: Encoder, convention: MaskConvention = "auto") -> MaskSet:
    """Read masks for a model: a file of any known format, or a folder that holds one.

    Args:
        path: The file or folder.
        encoder: The model.
        convention: What FFN masks in `.pt` files scale; no other format leaves it open.

    Raises:
        InputError: There is no mask file, or it is broken.
        MaskError: A mask has a shape that belongs to no group of this model.
    """
    if path.is_dir():
        if (path / FILE).is_file():
            return safetensors_masks.read(path / FILE)
        return pt_files.read(path, encoder, convention=convention)
    if not path.is_file():
        raise InputError(f"{path} does not exist", "name a mask file or a folder of masks with --masks")
    if path.suffix == ".json":
        return pruned_indices.read(path, encoder)
    if path.suffix == ".pt":
        return pt_files.read(path.parent, encoder, named=path.name, convention=convention)
    return safetensors_masks.read(path)


def write(masks: MaskSet, encoder: Encoder, folder: Path) -> None:
    """Write masks into a folder, in our format and as the `.pt` files that the field reads."""
    safetensors_masks.write(masks, folder)
    pt_files.write(masks, encoder, folder)
