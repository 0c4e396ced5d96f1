"""A checkpoint loaded for use: whose code runs, on which device, how many tokens it takes."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prunecli.checkpoints.folder import NEW, Checkpoint, read_checkpoint, read_config
from prunecli.checkpoints.run_folder import is_run
from prunecli.checkpoints.safetensors_file import FLOATS
from prunecli.checkpoints.sentence_files import usual_length
from prunecli.config import PredictConfig
from prunecli.config.shared import ONLY_TRAINS
from prunecli.errors import InputError, UnsupportedModelError, words_of
from prunecli.inference.onnx_model import OnnxModel, is_graph
from prunecli.models import pruned
from prunecli.models.loading import load_config, load_model, load_tokenizer, longest_input
from prunecli.models.shipped import encoder_of, head_of, is_ours, shipped

log = logging.getLogger(__name__)

UNLIMITED = 1_000_000  # tokens; tokenizers that know no limit state one of 1e30


@dataclass(frozen=True, slots=True)
class Runnable:
    """A checkpoint that is ready to run.

    Attributes:
        model: A model in evaluation mode on its device, or a graph.
        device: Where it computes.
        tokenizer: Its tokenizer.
        max_length: Tokens that a row is cut to.
    """

    model: PreTrainedModel | OnnxModel
    device: torch.device
    tokenizer: PreTrainedTokenizerBase
    max_length: int


def load_runnable(checkpoint: Checkpoint, options: PredictConfig) -> Runnable:
    """Load a checkpoint, a pruned folder or a graph from the disk alone.

    Args:
        checkpoint: The folder.
        options: Device, type of the numbers, backend, length, trust.

    Raises:
        UnsupportedModelError: The family or the head is none that predict knows.
        InputError: The folder is no whole checkpoint, or carries code that is not trusted.
    """
    tokenizer = load_tokenizer(checkpoint)
    is_onnx = options.backend == "onnx" or (options.backend == "auto" and is_graph(checkpoint.path))
    target = torch.device("cpu") if is_onnx else find_device(options.device)
    model: Any
    if is_onnx:
        if options.device not in ("auto", "cpu") or options.dtype not in ("auto", "float32"):
            raise InputError("a graph runs in float32 on the CPU", "leave --device and --dtype out")
        model = OnnxModel(checkpoint, load_config(checkpoint))
    else:
        model = load_with_head(checkpoint, _own_head(checkpoint), options.trust_remote_code)
    length = longest_row(checkpoint, model, tokenizer, options.max_length, usual_length(checkpoint))
    if not is_onnx:
        model.to(target, _dtype(checkpoint, target, options.dtype))
    return Runnable(model, target, tokenizer, length)


def check_is_cut(path: Path) -> None:
    """Refuse a run folder, whose masks are not cut yet.

    Raises:
        InputError: It is one.
    """
    if is_run(path):
        raise InputError(
            f"{path} is a run folder of train-masks, which is not cut yet",
            f"run `prunecli apply-masks {path} --out pruned` first, and name that folder",
        )


def read_runnable(path: Path) -> Checkpoint:
    """Read a checkpoint folder that can be run as it is, a graph for onnxruntime included.

    Raises:
        InputError: It is a run folder, or no checkpoint.
    """
    check_is_cut(path)
    return read_config(path) if is_graph(path) else read_checkpoint(path)


def _own_head(checkpoint: Checkpoint) -> str:
    """Return the head that a checkpoint was saved with; by the name of its class where there is no table."""
    if has_table(checkpoint):
        return head_of(checkpoint)
    name = checkpoint.architecture or ""
    return next((head for head in pruned.AUTO_CLASSES if head != "Model" and name.endswith(head)), "Model")


def _dtype(checkpoint: Checkpoint, device: torch.device, asked: str) -> torch.dtype:
    if asked != "auto":
        found: torch.dtype = getattr(torch, asked)
        return found
    saved = {
        entry.dtype for entry in checkpoint.tensors.values() if entry.dtype in FLOATS
    }  # indices are whole
    half = {"F16": torch.float16, "BF16": torch.bfloat16}.get(saved.pop() if len(saved) == 1 else "")
    return half if half is not None and device.type != "cpu" else torch.float32


def load_with_head(
    checkpoint: Checkpoint, head: str, trust_remote_code: bool, **changes: Any
) -> PreTrainedModel:
    """Load a checkpoint with the head that it was trained with, in float32 on the CPU.

    Args:
        checkpoint: The folder.
        head: The head class without its stem.
        trust_remote_code: Whether Python that the folder carries and prunecli did not write may run.
        **changes: Config entries to set.

    Raises:
        InputError: A parameter is not in the folder, or its code is not trusted.
    """
    if _needs_own_code(checkpoint):
        model, new = _load_remote(checkpoint, head, trust_remote_code)
        model.config.update(changes)
    else:
        loaded = load_model(checkpoint, head, **changes)
        model, new = loaded.model, loaded.new
    if head == "Model":  # its pooler is not used
        new = tuple(name for name in new if "pooler" not in name)
    if checkpoint.config.get(NEW):
        raise InputError(
            f"{checkpoint.path}: its head is new, and nobody has trained it yet",
            f"prunecli train-masks {checkpoint.path} ROWS {ONLY_TRAINS} trains it",
        )
    if new:
        raise InputError(
            f"{checkpoint.path}: tensor {new[0]} is missing or was never trained, so the head would be random",
            "take the weights that were saved with config.json, or train a head with train-masks",
        )
    return model


def _needs_own_code(checkpoint: Checkpoint) -> bool:
    """Say whether only Python from the folder can load it; a folder of ours loads with our copy of its file."""
    if not has_table(checkpoint):
        return "auto_map" in checkpoint.config
    return shipped(checkpoint) is not None and not is_ours(checkpoint)


def has_table(checkpoint: Checkpoint) -> bool:
    """Say whether a checkpoint is of a family and a head that prunecli knows."""
    try:
        head_of(checkpoint)
    except UnsupportedModelError:
        return False
    return True


def _load_remote(checkpoint: Checkpoint, head: str, trusted: bool) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """Load a folder through the Python that it carries."""
    if not trusted:
        raise InputError(
            f"{checkpoint.path} carries Python that prunecli did not write",
            "read it, then add --trust-remote-code to run it",
        )
    auto = getattr(transformers, pruned.AUTO_CLASSES[head])
    try:
        model, report = auto.from_pretrained(
            checkpoint.path,
            trust_remote_code=trusted,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # a stranger's code can raise anything
        first = words_of(error)
        raise InputError(
            f"{checkpoint.path} cannot be loaded with its own code: {type(error).__name__}: {first}",
            "check its auto_map and the files that it names",
        ) from None
    return model.eval(), tuple(sorted(report["missing_keys"]))


def find_device(asked: str) -> torch.device:
    """Return the device for `auto`, or one of torch's by its name: `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        InputError: torch finds none on this machine.
    """
    there = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if asked == "auto":
        return torch.device(next(name for name, count in there.items() if count))
    try:
        device = torch.device(asked)
    except RuntimeError:  # no name of a device
        device = None
    if device is None or (device.index or 0) >= there.get(device.type, 0):
        raise InputError(
            f"--device {asked}: torch finds none on this machine", "use --device auto or --device cpu"
        )
    return device


def longest_row(
    checkpoint: Checkpoint,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    asked: int | None,
    usual: int | None = None,
) -> int:
    """Return the tokens that a row is cut to: what was asked for, else the usual, within what the model takes.

    Without a usual length it is the tokenizer's limit, which train-masks sets to what it trained with.
    """
    has_positions = has_table(checkpoint) and hasattr(model.config, "max_position_embeddings")
    longest = longest_input(model, encoder_of(checkpoint)) if has_positions else UNLIMITED
    if asked is not None and asked > longest:
        log.warning("--max-length %d is more than the %d tokens that the model takes", asked, longest)
    length = int(min(asked or min(usual or UNLIMITED, tokenizer.model_max_length), longest))
    if length == UNLIMITED:
        raise InputError(f"{checkpoint.path} does not say how many tokens it takes", "add --max-length N")
    return length
