"""The reference: the dense checkpoint with gates on it, computed here; the folder was computed in the child."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from prunecli.checkpoints.folder import Checkpoint, read_checkpoint
from prunecli.checkpoints.run_folder import is_run, model_of
from prunecli.checkpoints.safetensors_file import FLOATS
from prunecli.config.shared import MaskConvention
from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.masks import formats
from prunecli.masks.gates import put_gates, set_masks
from prunecli.models.loading import load_model
from prunecli.models.shipped import is_cut, is_ours, positions_of, shipped
from prunecli.shrink.vocabulary import rows_of
from prunecli.verification.base import Finding, found
from prunecli.verification.vocabulary import ids_in

ATOL = 1e-5  # float32 on CPU: what differs is the order of sums
# A mask value other than 0 and 1 is rounded into a stored weight once.
ROUNDED = {"F16": 5e-3, "BF16": 3e-2}
NARROW = {"F16": torch.float16, "BF16": torch.bfloat16}
LENGTHS = (3, 7, 12, 24, 40, 64)  # tokens of the probes, one row each
SEED = 0


def write_probes(checkpoint: Checkpoint, encoder: Encoder, path: Path) -> None:
    """Write random but fixed inputs of several lengths, padded to one batch.

    Padding tokens do not occur inside the texts: RoBERTa counts positions by them.
    """
    config = checkpoint.config
    pad = config.get("pad_token_id") or 0
    lengths = [
        min(length, positions_of(checkpoint) - 8) for length in LENGTHS
    ]  # the padding check adds eight
    generator = np.random.default_rng(SEED)
    rows, columns = len(lengths), max(lengths)
    inputs = {
        "input_ids": np.full((rows, columns), pad),
        "attention_mask": np.zeros((rows, columns), dtype=np.int64),
    }
    if config.get("type_vocab_size", 0) > 1 and "token_type_ids" in encoder.model_type.model_inputs:
        inputs["token_type_ids"] = np.zeros((rows, columns), dtype=np.int64)
    words = np.setdiff1d(np.arange(rows_of(checkpoint)), [pad])
    for row, length in enumerate(lengths):
        inputs["input_ids"][row, :length] = generator.choice(words, length)
        inputs["attention_mask"][row, :length] = 1
        if "token_type_ids" in inputs:
            inputs["token_type_ids"][row, length // 2 : length] = 1
    save_file({name: torch.from_numpy(array) for name, array in inputs.items()}, path)


@torch.inference_mode()
def reference_outputs(
    against: Path,
    masks: Path | None,
    probes: Path,
    convention: MaskConvention = "auto",
    probed: Checkpoint | None = None,
) -> tuple[dict[str, torch.Tensor], bool]:
    """Compute what the folder shall equal.

    Args:
        against: A run folder, a checkpoint, or a pruned folder.
        masks: Masks to gate the checkpoint with; those of the run folder where None.
        probes: The inputs.
        convention: What FFN masks in `.pt` files scale.
        probed: The folder whose token ids the probes have, and whose type the weights are rounded to; the
            reference's own where None.

    Returns:
        Its outputs by name, and whether mask values other than 0 and 1 act in it.

    Raises:
        PruneError: The reference cannot be loaded.
    """
    checkpoint = read_checkpoint(model_of(against))
    carried = shipped(checkpoint)
    if carried is not None and not is_ours(checkpoint):
        raise InputError(
            f"{against}: not prunecli's own: {carried.names}",
            "compare against a run folder or a dense checkpoint",
        )
    if masks is not None and is_cut(checkpoint.config):
        raise InputError(f"{against} is cut: masks cannot gate it", "compare with the dense checkpoint")
    loaded = load_model(checkpoint)
    if probed is not None and (dtype := rounded_to(probed)) is not None:
        for parameter in loaded.model.parameters():
            parameter.copy_(parameter.to(dtype))
    source, real = masks or (against if is_run(against) else None), False
    if source is not None:
        mask_set = formats.read(source, loaded.encoder, convention)
        mask_set.check(loaded.encoder, str(checkpoint.path))
        real = any(not np.isin(mask, (0, 1)).all() for mask in mask_set.masks.values())
        set_masks(put_gates(loaded.model, loaded.encoder, tuple(mask_set.masks)), mask_set)
    inputs = load_file(probes)
    ids = None if probed is None else ids_in(checkpoint, probed)
    if ids is not None:
        inputs["input_ids"] = torch.from_numpy(ids)[inputs["input_ids"]]
    if (
        loaded.head == "ForMultipleChoice"
    ):  # takes [rows, choices, tokens]: one choice each, as the child does it
        inputs = {name: tensor[:, None] for name, tensor in inputs.items()}
    output: Any = loaded.model(**inputs)
    tensors = {name: tensor for name, tensor in output.items() if isinstance(tensor, torch.Tensor)}
    if ids is not None and loaded.head == "ForMaskedLM":
        tensors["logits"] = tensors["logits"][..., torch.from_numpy(ids)]
    return tensors, real


def rounded_to(checkpoint: Checkpoint) -> torch.dtype | None:
    """Return the type that all numbers of a folder have where it is a narrow one; None where they are mixed."""
    types = {entry.dtype for entry in checkpoint.tensors.values() if entry.dtype in FLOATS}
    return NARROW.get(types.pop()) if len(types) == 1 else None


def tolerance(checkpoint: Checkpoint, real: bool) -> float:
    """Return the default tolerance of parity: wider where real-valued masks were rounded into half precision."""
    stored = {entry.dtype for entry in checkpoint.tensors.values()}
    return max([ATOL, *(ROUNDED[dtype] for dtype in stored & ROUNDED.keys() if real)])


def in_its_type(against: Path, checkpoint: Checkpoint) -> str:
    """Return what a folder is compared with: its reference, in the narrow type that the folder is in."""
    dtype = rounded_to(checkpoint)
    return str(against) if dtype is None else f"{against} in {str(dtype).removeprefix('torch.')}"


def check_parity(
    reference: dict[str, torch.Tensor], outputs: Path, probes: Path, atol: float, name: str
) -> Finding:
    """Outputs of the folder are those of the reference; how many decisions differ is said."""
    measured = load_file(outputs)
    if measured.keys() != reference.keys():
        return Finding("parity", "fail", f"outputs {sorted(measured)} instead of {sorted(reference)}")
    mask_BT = load_file(probes)["attention_mask"].bool()
    worst, flips = 0.0, 0
    for key, wanted in reference.items():
        if measured[key].shape != wanted.shape:
            return Finding(
                "parity",
                "fail",
                f"{key} has shape {list(measured[key].shape)} instead of {list(wanted.shape)}",
            )
        # Outputs with an entry a token are compared where there is a token.
        real = mask_BT if wanted.shape[:2] == mask_BT.shape else torch.ones(wanted.shape[0], dtype=torch.bool)
        left, right = measured[key][real], wanted[real]
        gap = float((left - right).abs().max())
        worst = max(worst, math.inf if math.isnan(gap) else gap)  # max(0, nan) is 0
        if "logits" in key and left.dim() > 1:  # hidden states decide nothing
            flips += int((left.argmax(-1) != right.argmax(-1)).sum())
    detail = f"max abs difference {worst:.2e}, tolerance {atol:.0e}, {flips} decisions differ, against {name}"
    return found("parity", worst <= atol, detail)
