"""A graph against the model that it was exported from: onnxruntime and torch on the same inputs, of other shapes."""

import math
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from prunecli.inference.onnx_model import open_graph
from prunecli.models.onnx_graph import inputs_for
from prunecli.verification.base import Finding, found

CHECK = "onnx parity"


@torch.inference_mode()
def check_graph(
    model: PreTrainedModel, file: Path, outputs: tuple[str, ...], probes: dict[str, torch.Tensor], atol: float
) -> Finding:
    """Every output of the graph is torch's: for a padded batch, for each row alone, and with more padding.

    Args:
        model: The model.
        file: The graph.
        outputs: Names of its outputs.
        probes: Inputs of several lengths, padded to one batch.
        atol: Largest difference that counts as equal.
    """
    sessions = [open_graph(file), open_graph(file, without=())]  # as predict runs it, and as others do
    taken = {item.name for item in sessions[0].get_inputs()}
    worst, batches = 0.0, list(_batches(probes))
    for batch in batches:
        inputs = inputs_for(model, batch)
        wanted: Any = model(**inputs)
        fed = {name: value.numpy() for name, value in inputs.items() if name in taken}
        given = (zip(outputs, session.run(outputs, fed), strict=True) for session in sessions)
        for name, values in chain.from_iterable(given):
            if values.shape != tuple(wanted[name].shape):
                return Finding(
                    CHECK,
                    "fail",
                    f"{name} has shape {list(values.shape)}, torch gives {[*wanted[name].shape]}",
                )
            gap = float((torch.from_numpy(values) - wanted[name]).abs().max())
            worst = max(worst, math.inf if math.isnan(gap) else gap)  # max(0, nan) is 0
    detail = (
        f"max abs difference {worst:.2e}, tolerance {atol:.0e}, {len(batches)} shapes, {', '.join(outputs)}"
    )
    return found(CHECK, worst <= atol, detail)


def _batches(probes: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """Return the batch as it is, and each row alone without its padding."""
    lengths = probes["attention_mask"].sum(1).tolist()
    alone = [
        {name: values[row : row + 1, :length] for name, values in probes.items()}
        for row, length in enumerate(lengths)
    ]
    return [probes, *alone]
