"""SentenceTransformer and CrossEncoder load a pruned folder and give what the gated source gives.

Runs where sentence-transformers is installed: `pip install sentence-transformers`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

import prunecli
from prunecli.config import VerifyConfig
from prunecli.masks import MaskSet, formats
from prunecli.masks.gates import put_gates, set_masks
from prunecli.masks.units import GROUPS
from prunecli.operations import verify_automodel
from tests import tiny

pytest.importorskip("sentence_transformers")
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Transformer,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # another library's own
SENTENCES = ["the film was good", "we saw it on monday and it was not very dull", "bad"]
PAIRS = [("the film was good", "we saw it"), ("bad", "it was dull and not good on monday")]
FAMILIES = ("bert", "distilbert", "mpnet", "modernbert", "xlm-roberta")


def sentence_source(folder: Path, model_type: str) -> Path:
    """Save an encoder with pooling, a dense layer and normalisation as sentence-transformers does."""
    encoder = Transformer(str(tiny.save_tiny(folder / "encoder", model_type, "Model")), max_seq_length=32)
    modules = [encoder, Pooling(tiny.HIDDEN), Dense(tiny.HIDDEN, 16), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "source"))
    return folder / "source"


def cross_source(folder: Path, model_type: str) -> Path:
    """Save a model with one label as sentence-transformers does."""
    stock = tiny.save_tiny(folder / "stock", model_type, num_labels=1)
    CrossEncoder(str(stock), device="cpu").save_pretrained(str(folder / "source"))
    return folder / "source"


def masks_of(source: Path, native: bool) -> MaskSet:
    """Return masks that a stock config can say, or uneven ones of all groups."""
    encoder = tiny.sizes(source)
    if not native:
        return tiny.random_masks(encoder, GROUPS, seed=0, real=True, empty=True)
    mask = np.zeros((encoder.layers, encoder.intermediate), dtype=np.float32)
    mask[:, ::2] = 1
    return MaskSet({"ffn_int": mask})


def gate(sentences: Any, source: Path, masks: MaskSet) -> None:
    """Put gates on the encoder inside a model of sentence-transformers."""
    model = next(module for module in sentences.modules() if isinstance(module, PreTrainedModel))
    set_masks(put_gates(model, tiny.sizes(source), tuple(masks.masks)), masks)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_sentence_transformer_gives_the_gated_embeddings(
    model_type: str, native: bool, tmp_path: Path
) -> None:
    source = sentence_source(tmp_path, model_type)
    masks = masks_of(source, native)
    pruned = SentenceTransformer(
        str(tiny.cut(source, masks, tmp_path / "cut")), device="cpu", trust_remote_code=not native
    )
    gated = SentenceTransformer(str(source), device="cpu")
    dense = gated.encode(SENTENCES)
    gate(gated, source, masks)
    assert pruned.encode(SENTENCES).shape == (3, 16)
    assert pruned.max_seq_length == gated.max_seq_length == 32
    assert np.abs(pruned.encode(SENTENCES) - gated.encode(SENTENCES)).max() < 1e-5
    assert np.abs(pruned.encode(SENTENCES) - dense).max() > 1e-3


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_cross_encoder_gives_the_gated_scores(model_type: str, native: bool, tmp_path: Path) -> None:
    source = cross_source(tmp_path, model_type)
    masks = masks_of(source, native)
    pruned = CrossEncoder(
        str(tiny.cut(source, masks, tmp_path / "cut")), device="cpu", trust_remote_code=not native
    )
    gated = CrossEncoder(str(source), device="cpu")
    dense = gated.predict(PAIRS)
    gate(gated, source, masks)
    assert np.abs(pruned.predict(PAIRS) - gated.predict(PAIRS)).max() < 1e-5
    assert np.abs(pruned.predict(PAIRS) - dense).max() > 1e-4


@pytest.mark.parametrize("kind", [sentence_source, cross_source])
def test_such_a_folder_is_verified(kind: Any, tmp_path: Path) -> None:
    source = kind(tmp_path, "bert")
    pruned = tiny.cut(source, masks_of(source, native=False), tmp_path / "cut")
    masks = tmp_path / "cut-masks" / formats.FILE
    verdict = verify_automodel.run(VerifyConfig.of({"checkpoint": pruned, "against": source, "masks": masks}))
    assert verdict.passed, [finding for finding in verdict.findings if finding.status == "fail"]


def test_it_can_be_saved_again_and_loads(tmp_path: Path) -> None:
    source = sentence_source(tmp_path, "bert")
    cut = tiny.cut(source, masks_of(source, native=False), tmp_path / "cut")
    pruned = SentenceTransformer(str(cut), device="cpu", trust_remote_code=True)
    pruned.save(str(tmp_path / "again"))
    again = SentenceTransformer(str(tmp_path / "again"), device="cpu", trust_remote_code=True)
    assert np.array_equal(pruned.encode(SENTENCES), again.encode(SENTENCES))


@pytest.mark.parametrize("activation", ["Sigmoid", "Identity"])
def test_a_cross_encoder_scores_with_a_converted_pruning_encoder(tmp_path: Path, activation: str) -> None:
    stock, out = tiny.save_tiny(tmp_path / "stock", "bert", num_labels=1), tmp_path / "converted"
    source = CrossEncoder(str(stock), device="cpu", activation_fn=getattr(torch.nn, activation)())
    source.save_pretrained(str(tmp_path / "source"))
    assert prunecli.convert(tmp_path / "source", out, to="pruning-encoder").written
    converted = CrossEncoder(str(out), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(converted.predict(PAIRS), source.predict(PAIRS), atol=1e-5)
    converted.save_pretrained(str(tmp_path / "again"))
    again = CrossEncoder(str(tmp_path / "again"), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(again.predict(PAIRS), source.predict(PAIRS), atol=1e-5)


@pytest.mark.parametrize("labels", [1, 3])
def test_our_cross_encoder_is_a_drop_in(labels: int, tmp_path: Path) -> None:
    stock = tiny.save_tiny(tmp_path / "stock", "bert", num_labels=labels)
    assert prunecli.convert(stock, tmp_path / "out", to="pruning-encoder").written
    theirs = CrossEncoder(str(tmp_path / "out"), device="cpu", trust_remote_code=True)
    ours = prunecli.PruningCrossEncoder(str(tmp_path / "out"), device="cpu", trust_remote_code=True)
    pairs = [*PAIRS, ("not very dull " * 40, "we saw it " * 40)]
    for options in ({}, {"apply_softmax": True}, {"batch_size": 1}, {"activation_fn": torch.nn.ReLU()}):
        np.testing.assert_allclose(
            ours.predict(pairs, **options), theirs.predict(pairs, **options), atol=1e-5
        )
    np.testing.assert_allclose(ours.predict(pairs[0]), theirs.predict(pairs[0]), atol=1e-5)
    if labels == 1:
        found, wanted = (
            model.rank("good", SENTENCES, top_k=2, return_documents=True) for model in (ours, theirs)
        )
        assert [(item["corpus_id"], item["text"]) for item in found] == [
            (item["corpus_id"], item["text"]) for item in wanted
        ]
        assert [item["score"] for item in found] == pytest.approx(
            [item["score"] for item in wanted], abs=1e-5
        )
