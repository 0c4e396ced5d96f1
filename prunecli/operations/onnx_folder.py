"""The last step of `convert --to onnx`: a graph takes the place of a folder's weights and code."""

import logging
import tempfile
from pathlib import Path

from safetensors.torch import load_file

from prunecli.checkpoints.folder import GRAPH, read_checkpoint
from prunecli.checkpoints.strict_json import read_object, write_json
from prunecli.models import onnx_graph
from prunecli.models.loading import load_model
from prunecli.verification import parity
from prunecli.verification.base import Finding
from prunecli.verification.onnx_parity import check_graph

log = logging.getLogger(__name__)

KIND = "onnx"


def put_graph(folder: Path, atol: float) -> Finding:
    """Export the model of a folder into it, remove what the graph replaces, and compare the graph with torch.

    Args:
        folder: A folder that was just written, with weights in float32.
        atol: Largest difference that counts as equal.

    Raises:
        PruneError: torch cannot export the model.
    """
    checkpoint = read_checkpoint(folder)
    loaded = load_model(checkpoint)
    with tempfile.TemporaryDirectory(prefix="prunecli-onnx-") as name:
        file = Path(name) / "probes.safetensors"
        parity.write_probes(checkpoint, loaded.encoder, file)
        probes = load_file(file)
    log.info("Exporting the graph")
    outputs = onnx_graph.export(loaded.model, tuple(probes), folder / GRAPH)
    finding = check_graph(loaded.model, folder / GRAPH, outputs, probes, atol)
    for path in (*checkpoint.weight_files, *folder.glob("*.index.json"), *folder.glob("modeling_*.py")):
        path.unlink()
    config = read_object(folder / "config.json")
    write_json(folder / "config.json", {key: value for key, value in config.items() if key != "auto_map"})
    return finding
