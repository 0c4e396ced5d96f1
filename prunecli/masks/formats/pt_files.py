"""The `.pt` files of the field, one tensor each, read with `weights_only=True`.

    head_mask.pt               [layers, heads]
    ffn_intermediate_mask.pt   [layers, intermediate]
    ffn_output_mask.pt         [layers, hidden]
    neuron_mask.pt             [layers, intermediate], the name that Kwon et al. (2022) gave it

In files of the original framework the FFN masks scale the *inputs* of the two FFN linears, so there
`ffn_intermediate_mask` is [layers, hidden] (our `ffn_in`) and `ffn_output_mask` is [layers, intermediate]
(our `ffn_int`). The shapes tell which is meant, unless the two sizes are equal.
"""

from pathlib import Path

from prunecli.config.shared import MaskConvention
from prunecli.encoders import Encoder
from prunecli.errors import InputError, MaskError
from prunecli.masks.mask_set import Array, MaskSet
from prunecli.masks.units import mask_shape

HEAD, INTERMEDIATE, OUTPUT = "head_mask.pt", "ffn_intermediate_mask.pt", "ffn_output_mask.pt"
WRITTEN = {HEAD: "head", INTERMEDIATE: "ffn_int", OUTPUT: "ffn_out"}
OURS = {**WRITTEN, "neuron_mask.pt": "ffn_int"}
SCALING_INPUTS = {**OURS, INTERMEDIATE: "ffn_in", OUTPUT: "ffn_int"}
CONVENTIONS = {"outputs": OURS, "inputs": SCALING_INPUTS}


def read(
    folder: Path, encoder: Encoder, named: str | None = None, convention: MaskConvention = "auto"
) -> MaskSet:
    """Read the files that a folder has.

    Args:
        folder: Where they stand.
        encoder: The model; its sizes tell the two meanings of the FFN files apart.
        named: The file that the user named: it must be one of them.
        convention: Which of the two meanings; `auto` takes the one that the shapes have.

    Raises:
        InputError: There is none, or one is not a file of a tensor.
        MaskError: A shape does not fit the model, or fits both meanings; or two files are of one group.
    """
    found = {name: _load(folder / name) for name in OURS if (folder / name).is_file()}
    if not found or (named is not None and named not in found):
        raise InputError(
            f"{folder} holds no masks" if named is None else f"{folder / named} is no mask file by its name",
            f"a folder of masks holds masks.safetensors, or some of {', '.join(OURS)}",
        )
    groups = _meaning_by_shape(folder, found, encoder) if convention == "auto" else CONVENTIONS[convention]
    for name, array in found.items():
        same = [other for other in found if groups[other] == groups[name]]
        if len(same) > 1:
            raise MaskError(f"{folder}: {' and '.join(same)} are both {groups[name]}", "keep one of them")
        wanted = mask_shape(encoder, groups[name])
        if array.shape != wanted:
            raise MaskError(
                f"{folder / name} ({groups[name]}) has shape {list(array.shape)}, the model needs {list(wanted)}",
                "apply masks to the checkpoint that they were learned on",
            )
    return MaskSet({groups[name]: array for name, array in found.items()})


def write(masks: MaskSet, encoder: Encoder, folder: Path) -> None:
    """Write the three files that the field reads; groups that the set does not have are all ones."""
    import torch

    for name, group in WRITTEN.items():
        torch.save(torch.from_numpy(masks.of(group, encoder).copy()), folder / name)


def _meaning_by_shape(folder: Path, found: dict[str, Array], encoder: Encoder) -> dict[str, str]:
    """Tell by shape whether the FFN files scale units or the inputs of linears."""
    swapped = any(
        name in found and found[name].shape == mask_shape(encoder, SCALING_INPUTS[name])
        for name in (INTERMEDIATE, OUTPUT)
    )
    if swapped and encoder.hidden == encoder.intermediate:
        raise MaskError(
            f"{folder}: hidden and intermediate size are both {encoder.hidden}, so the FFN masks' meaning is open",
            f"say what {INTERMEDIATE} and {OUTPUT} scale: --mask-convention outputs (as train-masks "
            "writes them: neurons, then outputs) or --mask-convention inputs (inputs, then neurons)",
        )
    return SCALING_INPUTS if swapped else OURS


def _load(path: Path) -> Array:
    import torch

    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
        array: Array = tensor.detach().to(torch.float32).numpy()
    except Exception as error:  # torch.load raises many types; every one of them means: not a tensor file
        raise InputError(f"{path} is not a file of one tensor: {type(error).__name__}") from None
    return array
