"""PruningCrossEncoder: the scores of the model, in the shapes and order of sentence-transformers' CrossEncoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prunecli import PruningCrossEncoder, PruningEncoderConfig
from prunecli.errors import InputError
from prunecli.models.pruning_encoder import PruningEncoderForSequenceClassification
from tests import tiny

QUERY = "was it good"
DOCUMENTS = ["the film was good and we saw it", "bad", "not very dull " * 40, "on monday"]
PAIRS = [(QUERY, document) for document in DOCUMENTS]


def save(folder: Path, labels: int = 1, **entries: Any) -> Path:
    """Save a tiny model with its tokenizer, and entries in its config."""
    base = tiny.tiny_config("bert", num_labels=labels).to_dict()
    model = PruningEncoderForSequenceClassification(PruningEncoderConfig(base_model_config=base))
    tiny.randomise(model, seed=1)
    model.save_pretrained(folder)
    tiny.tiny_tokenizer("bert").save_pretrained(folder)
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))
    return folder


@torch.no_grad()
def logits(encoder: PruningCrossEncoder) -> Any:
    """Return the model's own logits, a pair at a time, cut to what it takes."""
    rows = [
        encoder.tokenizer(*pair, truncation=True, max_length=tiny.TOKENS, return_tensors="pt")
        for pair in PAIRS
    ]
    return torch.cat([encoder.model(**row).logits for row in rows])


def test_scores_are_sigmoids_in_order_and_of_the_shapes_asked_for(tmp_path: Path) -> None:
    encoder = PruningCrossEncoder(save(tmp_path), device="cpu", trust_remote_code=True)
    wanted = logits(encoder).sigmoid()[:, 0].numpy()
    found = encoder.predict(PAIRS, batch_size=2)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert encoder.predict(PAIRS[0]) == pytest.approx(wanted[0], abs=1e-6)
    assert encoder.predict([]).shape == (0,)
    assert isinstance(encoder.predict(PAIRS, convert_to_tensor=True), torch.Tensor)
    assert isinstance(encoder.predict(PAIRS, convert_to_numpy=False), list)
    raw = encoder.predict(PAIRS, activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(raw, logits(encoder)[:, 0].numpy(), atol=1e-5)


def test_batches_are_halved_where_memory_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = PruningCrossEncoder(save(tmp_path), device="cpu")
    wanted, forward, most = encoder.predict(PAIRS), encoder.model.forward, 2

    def small(**inputs: Any) -> Any:
        if len(inputs["input_ids"]) > most:
            raise torch.OutOfMemoryError
        return forward(**inputs)

    monkeypatch.setattr(encoder.model, "forward", small)
    np.testing.assert_allclose(encoder.predict(PAIRS), wanted, atol=1e-6)
    most = 0
    with pytest.raises(InputError, match="a pair does not fit into memory"):
        encoder.predict(PAIRS)


def test_the_best_documents_come_first(tmp_path: Path) -> None:
    encoder = PruningCrossEncoder(save(tmp_path), device="cpu")
    scores = encoder.predict(PAIRS)
    ranked = encoder.rank(QUERY, DOCUMENTS, top_k=3, return_documents=True)
    assert [entry["corpus_id"] for entry in ranked] == np.argsort(-scores)[:3].tolist()
    assert [entry["text"] for entry in ranked] == [DOCUMENTS[entry["corpus_id"]] for entry in ranked]
    assert [entry["score"] for entry in ranked] == pytest.approx(sorted(scores, reverse=True)[:3], abs=1e-6)
    assert encoder.rank(QUERY, DOCUMENTS)[0].keys() == {"corpus_id", "score"}


def test_several_labels_have_several_scores_and_no_rank(tmp_path: Path) -> None:
    encoder = PruningCrossEncoder(save(tmp_path, labels=3), device="cpu")
    np.testing.assert_allclose(encoder.predict(PAIRS), logits(encoder).numpy(), atol=1e-5)
    np.testing.assert_allclose(encoder.predict(PAIRS, apply_softmax=True).sum(1), np.ones(4), atol=1e-6)
    with pytest.raises(InputError, match="a model of 3 labels has no one score"):
        encoder.rank(QUERY, DOCUMENTS)


@pytest.mark.parametrize(
    "entries",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ],
)
def test_the_checkpoint_says_the_activation(entries: dict[str, Any], tmp_path: Path) -> None:
    encoder = PruningCrossEncoder(save(tmp_path, **entries), device="cpu")
    np.testing.assert_allclose(encoder.predict(PAIRS), logits(encoder)[:, 0].numpy(), atol=1e-5)


def test_a_checkpoint_names_no_code_and_has_to_score(tmp_path: Path, bert: Path) -> None:
    for name in ("os.system", "torch.nn.modules.linear.Linear"):
        evil = save(tmp_path / "evil", sentence_transformers={"activation_fn": name})
        with pytest.raises(InputError, match=f"'{name}' is no activation of torch"):
            PruningCrossEncoder(evil)
    with pytest.raises(InputError, match="is not a PruningEncoder with a ranking head"):
        PruningCrossEncoder(bert)
