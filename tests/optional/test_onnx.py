"""Graphs give what torch gives, for other batch sizes and lengths: every family cut, every head, both models of ours.

Runs where `pip install onnx onnxscript onnxruntime` was done.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

import prunecli
from prunecli.checkpoints.folder import GRAPH, read_checkpoint
from prunecli.masks.units import GROUPS
from prunecli.models.modeling_masked_seq import MaskedSeqConfig, MaskedSeqModel
from prunecli.models.onnx_graph import export
from prunecli.verification import parity
from prunecli.verification.onnx_parity import check_graph
from tests import tiny
from tests.contract.test_docs import DOCS, blocks
from tests.convert.conftest import ORIGINALS
from tests.unit.test_irti_masked_seq import FIXTURE

for module in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(module)

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter's own
OTHER_HEADS = (tiny.QUESTIONS, *tiny.OTHER_HEADS)


def assert_exports(model: PreTrainedModel, source: Path, folder: Path) -> None:
    """Export a model and compare on the probes of its folder."""
    parity.write_probes(read_checkpoint(source), tiny.sizes(source), folder / "probes")
    probes = load_file(folder / "probes")
    outputs = export(model, tuple(probes), folder / GRAPH)
    found = check_graph(model, folder / GRAPH, outputs, probes, atol=1e-5)
    assert found.status == "pass", found.detail
    assert b"site-packages" not in (folder / GRAPH).read_bytes()  # nothing of this machine


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_a_pruned_folder_of_every_family(model_type: str, tmp_path: Path) -> None:
    source = tiny.save_tiny(tmp_path / "source", model_type)
    masks = tiny.random_masks(tiny.sizes(source), GROUPS, seed=0, real=True, empty=True)
    cut = tiny.cut(source, masks, tmp_path / "cut")
    assert_exports(tiny.load(cut), cut, tmp_path)


@pytest.mark.parametrize("head", OTHER_HEADS)
def test_every_head(head: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = tiny_checkpoint("bert", head)
    assert_exports(tiny.load(source), source, tmp_path)


def onnx_of(source: Path, out: Path, **options: Any) -> tuple[Any, dict[str, list[Any]]]:
    """Convert a folder; return the session, and names and shapes of inputs and outputs."""
    import onnxruntime

    done = prunecli.convert(source, out, to="onnx", **options)
    assert done.written, [finding for finding in done.findings if finding.status == "fail"]
    assert {path.name for path in out.iterdir()} == set(done.files)
    assert "auto_map" not in json.loads((out / "config.json").read_text())
    session = onnxruntime.InferenceSession(str(out / GRAPH))
    return session, {item.name: item.shape for item in (*session.get_inputs(), *session.get_outputs())}


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("reranking-pruning-modernbert", {"logits": ["batch", 1], "pruning_logits": ["batch", "tokens", 2]}),
        ("pruning-only-bert", {"logits": ["batch", "tokens", 2]}),
    ],
)
def test_a_pruning_encoder_in_one_step(name: str, outputs: dict[str, list[Any]], tmp_path: Path) -> None:
    session, shapes = onnx_of(ORIGINALS / name, tmp_path / "out", allow_pickle=True)
    assert {item.name: shapes[item.name] for item in session.get_outputs()} == outputs
    noted = load_file(ORIGINALS / f"{name}.safetensors")
    fed = {key: torch.zeros_like(noted["input_ids"]).numpy() for key in shapes if key not in outputs}
    fed |= {key: noted[key].numpy() for key in ("input_ids", "attention_mask")}
    found = dict(zip(outputs, session.run(list(outputs), fed), strict=True))
    pruning = found.get("pruning_logits", found["logits"])
    torch.testing.assert_close(torch.from_numpy(pruning), noted["pruning_logits"], atol=1e-5, rtol=0)


def test_a_masked_sequence_model_in_one_step(tmp_path: Path) -> None:
    session, shapes = onnx_of(FIXTURE, tmp_path / "out")
    assert (shapes["mask_indices"], shapes["logits"]) == (["batch", "positions"], ["batch", "positions", 3])
    given = load_file(FIXTURE / "expected.safetensors")
    wanted = given.pop("logits")
    fed = {key: torch.zeros_like(given["input_ids"]).numpy() for key in shapes if key != "logits"}
    fed |= {key: value.numpy() for key, value in given.items()}
    (found,) = session.run(["logits"], fed)
    torch.testing.assert_close(torch.from_numpy(found), wanted, atol=1e-5, rtol=0)


def test_the_guide_gives_the_outputs_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny.save_tiny(tmp_path / "source", "bert", dtype="float16")
    masks = tiny.random_masks(tiny.sizes(source), GROUPS, seed=0, empty=True)
    cut = tiny.cut(source, masks, tmp_path / "cut")
    onnx_of(cut, tmp_path / "pruned-onnx")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks(DOCS / "guides" / "onnx.md", "python"):
        exec(block, names)
    batch = {name: torch.from_numpy(value) for name, value in names["given"].items()}
    with torch.no_grad():
        wanted = tiny.load(cut)(**batch).logits
    torch.testing.assert_close(torch.from_numpy(names["logits"]), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("source", "record"),
    [
        ("bert", {"text": "good film"}),
        ("reranking-pruning-modernbert", {"query": "was it good", "document": "the film was good. " * 40}),
        ("masked", {"text": "we [MASK] it on [MASK]"}),
    ],
)
def test_predict_takes_a_graph_for_its_model(source: str, record: Any, bert: Path, tmp_path: Path) -> None:
    folders = {"bert": bert, "masked": tmp_path / "torch"}
    if source == "masked":
        model = MaskedSeqModel(MaskedSeqConfig(tiny.tiny_config("bert").to_dict(), id2label={0: "a", 1: "b"}))
        tiny.randomise(model, seed=3)
        model.save_pretrained(tmp_path / "torch")
        tiny.tiny_tokenizer("bert").save_pretrained(tmp_path / "torch")
    elif source != "bert":
        prunecli.convert(ORIGINALS / source, tmp_path / "torch", allow_pickle=True)
    folder = folders.get(source, tmp_path / "torch")
    onnx_of(folder, tmp_path / "graph")
    (wanted,) = prunecli.predict(folder, [record], device="cpu")
    (found,) = prunecli.predict(tmp_path / "graph", [record])
    assert flat(found) == pytest.approx(flat(wanted), abs=1e-5)


def flat(value: Any) -> list[float]:
    """Return every number of a record."""
    if isinstance(value, dict | list):
        return [
            number for part in (value.values() if isinstance(value, dict) else value) for number in flat(part)
        ]
    return [float(value)] if isinstance(value, int | float) else []
