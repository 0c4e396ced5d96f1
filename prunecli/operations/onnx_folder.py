"""The last step of `convert --to onnx`: a graph takes the place of a folder's weights and code."""

import copy
import logging
import tempfile
from pathlib import Path

from safetensors.torch import load_file

from prunecli.checkpoints.folder import GRAPH, read_checkpoint
from prunecli.checkpoints.strict_json import read_object, write_json
from prunecli.inference.first_token import read_first_token_only
from prunecli.inference.runnable import load_with_head
from prunecli.models import onnx_graph
from prunecli.models.shipped import encoder_of, head_of
from prunecli.verification import parity
from prunecli.verification.base import Finding
from prunecli.verification.onnx_parity import check_graph

log = logging.getLogger(__name__)

KIND, CLASSIFIER = "onnx", "ForSequenceClassification"


def put_graph(folder: Path, atol: float) -> Finding:
    """Export the model of a folder into it, remove what the graph replaces, and compare the graph with torch.

    Args:
        folder: A folder that was just written, with weights in float32.
        atol: Largest difference that counts as equal.

    Raises:
        PruneError: torch cannot export the model, or its head was never trained, which a graph would not show.
    """
    checkpoint = read_checkpoint(folder)
    head = head_of(checkpoint)
    model = load_with_head(checkpoint, head, trust_remote_code=False)
    with tempfile.TemporaryDirectory(prefix="prunecli-onnx-") as name:
        file = Path(name) / "probes.safetensors"
        parity.write_probes(checkpoint, encoder_of(checkpoint), file)
        probes = load_file(file)
    log.info("Exporting the graph")
    exported = model
    if head == CLASSIFIER and onnx_graph.output_names(model, probes) == ("logits",):
        exported = copy.deepcopy(model)  # the graph is compared with the model as it was
        read_first_token_only(exported, encoder_of(checkpoint))
    outputs = onnx_graph.export(exported, tuple(probes), folder / GRAPH)
    finding = check_graph(model, folder / GRAPH, outputs, probes, atol)
    for path in (*checkpoint.weight_files, *folder.glob("*.index.json"), *folder.glob("modeling_*.py")):
        path.unlink()
    config = read_object(folder / "config.json")
    write_json(folder / "config.json", {key: value for key, value in config.items() if key != "auto_map"})
    return finding
