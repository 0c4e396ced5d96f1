"""A model as a graph for onnxruntime: which inputs it has, and how torch writes it.

Batch, tokens, positions and choices stay free. Inputs and outputs are called as in torch.
Shapes: B batch, T tokens, M positions, C choices.
"""

import contextlib
import importlib.util
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from prunecli.checkpoints.folder import GRAPH
from prunecli.errors import InputError, PruneError, words_of
from prunecli.models.modeling_masked_seq import MaskedSeqModel

DATA = f"{GRAPH}.data"  # the weights of a graph that is too large for one file
LARGE = 1 << 30  # bytes; a protobuf holds twice that
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
ROWS, TOKENS, POSITIONS = 2, 7, 3  # of the inputs that the export runs on


def check_installed() -> None:
    """Make sure that the packages of the extra `onnx` are here.

    Raises:
        InputError: One is not.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--to onnx needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            f"pip install {' '.join(PACKAGES)}",
        )


def graph_files(weights: int) -> list[str]:
    """Return the names of a graph's files, by the bytes of its weights in float32."""
    return [GRAPH] if weights < LARGE else [GRAPH, DATA]


def inputs_for(model: PreTrainedModel, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what a model's graph takes, from inputs [B, T]: positions [B, M] too, or [B, C, T] of two choices."""
    if isinstance(model, MaskedSeqModel):
        count, length = tokens["input_ids"].shape[0], tokens["attention_mask"].sum(1, keepdim=True)
        places = torch.arange(POSITIONS).expand(count, -1)
        return {**tokens, "mask_indices": places % length}
    if type(model).__name__.endswith("ForMultipleChoice"):
        return {name: torch.stack([ids, ids.flip(0)], dim=1) for name, ids in tokens.items()}
    return tokens


def export(model: PreTrainedModel, names: tuple[str, ...], file: Path) -> tuple[str, ...]:
    """Write a model's graph.

    Args:
        model: In float32 on the CPU, in evaluation mode. It computes attention the eager way from now on: every family
            has it, and layers without heads need it.
        names: The inputs of its tokenizer.
        file: Where the graph goes; one that is large has its weights beside it.

    Returns:
        The names of the outputs.

    Raises:
        PruneError: torch cannot export it.
    """
    configs: list[Any] = [module.config for module in model.modules() if hasattr(module, "config")]
    for config in configs:
        config._attn_implementation = "eager"
    ids_BT = torch.full((ROWS, TOKENS), 5)
    tokens = {name: torch.ones_like(ids_BT) if "mask" in name else ids_BT * 0 for name in names}
    inputs = inputs_for(model, {**tokens, "input_ids": ids_BT})
    axes = {2: ("batch", "tokens"), 3: ("batch", "choices", "tokens")}
    shapes = {name: dict(enumerate(axes[value.dim()])) for name, value in inputs.items()}
    if "mask_indices" in shapes:
        shapes["mask_indices"] = {0: "batch", 1: "positions"}
    outputs = output_names(model, inputs)
    weights = sum(parameter.numel() * 4 for parameter in model.parameters())
    try:
        program = _exported(
            model, kwargs=inputs, input_names=list(inputs), output_names=list(outputs), dynamic_shapes=shapes
        )
    except Exception as error:  # the exporter raises types of its own
        said = words_of(error)
        raise PruneError(
            f"torch {torch.__version__} cannot export {type(model).__name__}: {said}", "try another torch"
        ) from error
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # lines of code, with the folders of this machine
    program.save(file, external_data=weights >= LARGE)
    return outputs


def _exported(model: PreTrainedModel, **options: Any) -> Any:
    """Let torch export a model, without what it says of that on both streams."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return torch.onnx.export(model, dynamo=True, verbose=False, **options)


@torch.no_grad()
def output_names(model: PreTrainedModel, inputs: dict[str, Tensor]) -> tuple[str, ...]:
    """Return the names of a model's outputs, in order."""
    found: Any = model(**inputs)
    return tuple(name for name, value in found.items() if isinstance(value, Tensor))
