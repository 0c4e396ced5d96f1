"""What is kept of a document, and that nothing of it is lost or counted twice on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prunecli import PruningEncoder, PruningEncoderConfig
from prunecli.errors import InputError
from prunecli.inference.pruning_encoder import Prediction, Token
from prunecli.models.pruning_encoder import (
    PruningEncoderForSequenceClassification,
    PruningEncoderForTokenClassification,
)
from tests import tiny

QUERY, DOCUMENT = "was it good", "the film was good and  we saw it on monday"
LONG = " ".join([DOCUMENT] * 9)
Load = Callable[..., PruningEncoder]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that saves a tiny model of a family and loads it with its tokenizer."""

    def loaded(
        model_type: str = "bert", mode: str = "reranking_pruning", labels: int = 1, **more: Any
    ) -> PruningEncoder:
        base = tiny.tiny_config(model_type, num_labels=labels).to_dict()
        config = PruningEncoderConfig(mode=mode, base_model_config=base)
        cls: Any = {
            "reranking_pruning": PruningEncoderForSequenceClassification,
            "pruning_only": PruningEncoderForTokenClassification,
        }[mode]
        model = cls(config)
        tiny.randomise(model, seed=1)
        model.save_pretrained(tmp_path / "model")
        tiny.tiny_tokenizer(model_type).save_pretrained(tmp_path / "model")
        return PruningEncoder.from_pretrained(tmp_path / "model", device="cpu", **more)

    return loaded


def covered(document: str, tokens: tuple[Token, ...]) -> str:
    """Return a document's characters that some token has."""
    return "".join(document[token.start : token.stop] for token in tokens)


@pytest.mark.parametrize(
    "model_type", ["bert", "roberta", "xlm-roberta", "modernbert", "deberta-v2", "mpnet"]
)
def test_every_token_of_the_document_is_there_once(model_type: str, load: Load) -> None:
    """P8, P9: the first token was lost after [SEP], all of them after </s></s>."""
    encoder = load(model_type)
    (found,) = encoder.predict_with_pruning([(QUERY, DOCUMENT)])
    assert covered(DOCUMENT, found.tokens) == DOCUMENT.replace(" ", "")
    assert found.tokens[0].start == 0
    assert all(one.stop <= other.start for one, other in zip(found.tokens, found.tokens[1:], strict=False))


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta"])
def test_scores_and_probabilities_are_the_models(model_type: str, load: Load) -> None:
    encoder = load(model_type)
    inputs = encoder.tokenizer(QUERY, DOCUMENT, return_tensors="pt")
    with torch.no_grad():
        output = encoder.forward(**inputs)
    pairs = [(QUERY, DOCUMENT), (QUERY, "bad"), (QUERY, DOCUMENT)]
    found = encoder.predict_with_pruning(pairs, batch_tokens=40)
    assert found[0].score == pytest.approx(output.logits.item(), abs=1e-5)  # raw: no sigmoid
    keep = output.pruning_logits[0].softmax(-1)[:, 1].tolist()
    sides = inputs.sequence_ids(0)
    wanted = [value for value, side in zip(keep, sides, strict=True) if side == 1]
    assert [token.keep for token in found[0].tokens] == pytest.approx(wanted, abs=1e-5)
    assert encoder.predict(pairs) == pytest.approx([item.score for item in found], abs=1e-5)
    assert [token.keep for token in found[2].tokens] == pytest.approx(wanted, abs=1e-5)


def test_of_two_labels_the_second_is_the_score(load: Load) -> None:
    """The original took the first, which is the probability of not being relevant."""
    encoder = load(labels=2)
    with torch.no_grad():
        logits = encoder(**encoder.tokenizer(QUERY, DOCUMENT, return_tensors="pt")).logits
    assert encoder.predict([(QUERY, DOCUMENT)]) == pytest.approx([logits[0, 1].item()], abs=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_long_documents_are_read_in_windows(model_type: str, load: Load) -> None:
    encoder = load(model_type, max_length=32)
    (found,) = encoder.predict_with_pruning([(QUERY, LONG)])
    assert covered(LONG, found.tokens) == LONG.replace(" ", "")
    with torch.no_grad():
        first = encoder(
            **encoder.tokenizer(QUERY, LONG, truncation="only_second", max_length=32, return_tensors="pt")
        )
    assert found.score is not None and found.score >= first.logits.item() - 1e-5


def test_a_long_query_leaves_room_for_the_document(load: Load) -> None:
    """O3: it was never cut, so that inputs were longer than the model takes."""
    encoder = load(max_length=32)
    seen: list[int] = []
    encoder.model.register_forward_pre_hook(
        lambda model, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    (found,) = encoder.predict_with_pruning([(LONG, DOCUMENT)])
    assert seen and max(seen) <= 32
    assert covered(DOCUMENT, found.tokens) == DOCUMENT.replace(" ", "")


def say(monkeypatch: pytest.MonkeyPatch, document: str, kept: set[str], keep: float = 0.9) -> None:
    """Let a model keep some words, whose characters are its tokens' characters."""
    tokens, start = [], 0
    for word in document.split():
        start = document.index(word, start)
        tokens.append(Token(start, start + len(word), keep if word in kept else 0.1))
        start += len(word)
    answer = [Prediction(0.5, tuple(tokens))]
    monkeypatch.setattr(PruningEncoder, "predict_with_pruning", lambda self, pairs, batch_tokens: answer)


def test_what_is_kept_has_the_documents_own_white_space(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: parts were joined with a space, which Japanese does not have."""
    encoder = load()
    say(monkeypatch, DOCUMENT, {"the", "film", "and", "we"})
    assert encoder.prune(QUERY, DOCUMENT) == "the film and  we"
    monkeypatch.setattr(
        PruningEncoder,
        "predict_with_pruning",
        lambda self, pairs, batch_tokens: [
            Prediction(0.5, (Token(0, 1, 0.9), Token(1, 2, 0.1), Token(2, 3, 0.9)))
        ],
    )
    assert encoder.prune(QUERY, "猫座敷") == "猫敷"


def test_tokens_come_along_where_they_are_asked_for(load: Load) -> None:
    """P10: asking for them raised AttributeError."""
    encoder = load()
    with_tokens, without = (
        encoder.prune_texts([QUERY], [DOCUMENT], threshold=0.0, return_tokens=asked)[0]
        for asked in (True, False)
    )
    assert with_tokens.text == DOCUMENT and len(with_tokens.tokens) == 10
    assert without.tokens == ()
    assert encoder.prune(QUERY, DOCUMENT, threshold=1.0) == ""


def test_a_chunk_is_judged_by_its_tokens(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """O1, O2: spans were shifted, and means were of fragments instead of tokens."""
    encoder = load()
    say(monkeypatch, DOCUMENT, {"the", "film", "was"})
    spans = [
        (0, 17),
        (18, len(DOCUMENT)),
        (21, 23),
    ]  # 4 words of which 3 are kept, 6 of which none is, white space
    (chunks,) = encoder.predict_context([(QUERY, DOCUMENT)], [spans])
    assert [chunk.kept for chunk in chunks] == [True, False, False]
    assert chunks[0].keep == pytest.approx((3 * 0.9 + 0.1) / 4)
    assert chunks[2].keep == 0.0
    (strict,) = encoder.predict_context([(QUERY, DOCUMENT)], [spans], chunk_threshold=0.8)
    assert [chunk.kept for chunk in strict] == [False, False, False]


def test_without_ranking_there_are_no_scores(load: Load) -> None:
    encoder = load(mode="pruning_only")
    (found,) = encoder.predict_with_pruning([(QUERY, DOCUMENT)])
    assert found.score is None and len(found.tokens) == 10
    with pytest.raises(InputError, match="has no scores"):
        encoder.predict([(QUERY, DOCUMENT)])
    assert encoder.predict_with_pruning([]) == []


def test_save_pretrained_is_loaded_again(load: Load, tmp_path: Path) -> None:
    encoder = load()
    encoder.save_pretrained(tmp_path / "again")
    again = PruningEncoder.from_pretrained(tmp_path / "again", device="cpu")
    assert again.predict([(QUERY, DOCUMENT)]) == encoder.predict([(QUERY, DOCUMENT)])


def test_other_folders_are_pointed_to_convert(bert: Path) -> None:
    with pytest.raises(InputError, match="is not a PruningEncoder of this format") as raised:
        PruningEncoder.from_pretrained(bert)
    assert "prunecli convert" in str(raised.value.fix)
