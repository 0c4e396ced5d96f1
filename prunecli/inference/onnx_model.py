"""A graph that `convert --to onnx` wrote, called as a model is: tensors by name in, tensors by name out."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from prunecli.checkpoints.folder import GRAPH, Checkpoint, inside
from prunecli.errors import InputError, words_of

POSITIONS = "mask_indices"  # an input of masked-sequence models
# Slower than their parts on a CPU: together 8 % of the time of a BERT.
SLOW_FUSIONS = ("SkipLayerNormFusion", "BiasGeluFusion")


def is_graph(path: Path) -> bool:
    """Say whether a folder holds a graph and no weights."""
    return (path / GRAPH).is_file() and not any(path.glob("*.safetensors"))


class OnnxModel:
    """A graph in onnxruntime, on the CPU.

    Args:
        checkpoint: The folder.
        config: What the model in the graph was.

    Raises:
        InputError: There is no graph, onnxruntime is not installed, or it cannot read the graph.
    """

    dtype = torch.float32

    def __init__(self, checkpoint: Checkpoint, config: PreTrainedConfig) -> None:
        if not (checkpoint.path / GRAPH).is_file():
            raise InputError(
                f"{checkpoint.path} has no {GRAPH}",
                f"prunecli convert {checkpoint.path} OUT --to onnx writes one",
            )
        if importlib.util.find_spec("onnxruntime") is None:
            raise InputError(
                f"{checkpoint.path} holds a graph, which onnxruntime runs", "pip install onnxruntime"
            )
        self.config = config
        try:
            self.session = open_graph(inside(checkpoint.path, GRAPH))
        except Exception as error:  # onnxruntime raises types of its own
            said = words_of(error)
            raise InputError(
                f"{checkpoint.path / GRAPH} cannot be read: {said}", "convert it again"
            ) from None
        self.names = {entry.name for entry in self.session.get_inputs()}
        self.outputs = [entry.name for entry in self.session.get_outputs()]

    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Run the graph; at every token where it wants positions."""
        if POSITIONS in self.names:
            ids_BT = inputs["input_ids"]
            inputs[POSITIONS] = torch.arange(ids_BT.shape[1]).expand(ids_BT.shape)
        given = {name: values.numpy() for name, values in inputs.items() if name in self.names}
        found = self.session.run(self.outputs, given)
        return {name: torch.from_numpy(values) for name, values in zip(self.outputs, found, strict=True)}


def open_graph(file: Path, without: Sequence[str] = SLOW_FUSIONS) -> Any:
    """Return the `onnxruntime.InferenceSession` of a graph, on the CPU, with as many threads as torch has.

    Args:
        file: The graph.
        without: Optimizers to leave out.

    Raises:
        Exception: Of onnxruntime's own types, where it cannot read the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(
        str(file), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(without)
    )
