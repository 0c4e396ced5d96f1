"""A cut vocabulary: texts of kept tokens split as before, under new ids, and the model computes the same bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.config import ApplyMasksConfig
from prunecli.models.loading import load_tokenizer
from prunecli.operations import apply_masks
from prunecli.shrink.vocabulary import numbering_of
from tests import tiny, trained

HEADS = (tiny.CLASSIFICATION, "ForMaskedLM")


def load(folder: Path) -> PreTrainedModel:
    """Load a model and copy its weights: how a file's bytes are aligned decides the order of sums."""
    model = tiny.load(folder)
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model


def cut_vocabulary(source: Path, out: Path, texts: list[str], **options: Any) -> Path:
    """Cut the tokens that some texts do not use."""
    out.parent.mkdir(parents=True, exist_ok=True)
    corpus = out.with_name(out.name + "-corpus.txt")
    corpus.write_text("\n".join(texts), encoding="utf-8")
    apply_masks.run(ApplyMasksConfig.of({"source": source, "prune_vocab": corpus, "out": out, **options}))
    return out


Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Pair]:
    """Return a function (model_type, head) -> source and cut, each made once: never write into them."""
    made: dict[tuple[str, str], Pair] = {}

    def folders(model_type: str, head: str = tiny.CLASSIFICATION) -> Pair:
        if (model_type, head) not in made:
            root = tmp_path_factory.mktemp(f"{model_type}-{head}")
            source = trained.save(root / "source", model_type, head)
            made[model_type, head] = source, cut_vocabulary(source, root / "cut", trained.texts(40, seed=1))
        return made[model_type, head]

    return folders


def tokenizers(pair: Pair) -> tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase]:
    source, cut = (load_tokenizer(read_checkpoint(folder)) for folder in pair)
    return source, cut


@pytest.mark.parametrize("model_type", trained.MODEL_TYPES)
def test_texts_of_kept_tokens_split_as_before(model_type: str, pair: Callable[..., Pair]) -> None:
    source, cut = tokenizers(pair(model_type))
    kept = numbering_of(read_checkpoint(pair(model_type)[1])).ids
    seen = []
    for text in trained.texts(400, seed=2, rare=0.02):
        before, after = source(text)["input_ids"], cut(text)["input_ids"]
        seen.append(np.isin(before, kept).all())
        if seen[-1]:
            assert kept[after].tolist() == before, text
        else:
            assert max(after) < len(kept), text
    assert 40 < sum(seen) < 390


@pytest.mark.parametrize("model_type", trained.MODEL_TYPES)
def test_pairs_of_texts_get_the_same_special_tokens(model_type: str, pair: Callable[..., Pair]) -> None:
    source, cut = tokenizers(pair(model_type))
    kept = numbering_of(read_checkpoint(pair(model_type)[1])).ids
    texts = trained.texts(40, seed=1)
    before, after = (
        source(texts[0], texts[1], padding="max_length"),
        cut(texts[0], texts[1], padding="max_length"),
    )
    assert len(after["input_ids"]) == tiny.TOKENS
    assert kept[after.pop("input_ids")].tolist() == before.pop("input_ids")
    assert after == before
    assert [kept[number] for number in cut.all_special_ids] == source.all_special_ids


@pytest.mark.parametrize("model_type", trained.MODEL_TYPES)
def test_other_texts_split_into_letters_rather_than_become_unknown(
    model_type: str, pair: Callable[..., Pair]
) -> None:
    _, cut = tokenizers(pair(model_type))
    ids = cut("quiquiqui torlak", add_special_tokens=False)["input_ids"]
    assert cut.unk_token_id not in ids and len(ids) > 2
    assert cut("日本", add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("model_type", trained.MODEL_TYPES)
def test_outputs_on_kept_tokens_are_equal_bit_for_bit(
    model_type: str, head: str, pair: Callable[..., Pair]
) -> None:
    folders = pair(model_type, head)
    source, cut = map(load, folders)
    numbering = numbering_of(read_checkpoint(folders[1]))
    texts = trained.texts(40, seed=1)  # those of the corpus
    inputs = [tokenizer(texts, padding=True, return_tensors="pt") for tokenizer in tokenizers(folders)]
    with torch.no_grad():
        before, after = source(**inputs[0]).logits, cut(**inputs[1]).logits
    if head == "ForMaskedLM":
        before = before[..., torch.from_numpy(numbering.ids)]
    assert torch.equal(before, after)
    assert cut.config.vocab_size == len(numbering.ids) < source.config.vocab_size == numbering.rows


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_every_family_loses_words_and_computes_the_same(
    model_type: str, head: str, tmp_path: Path, tiny_checkpoint: Callable[..., Path]
) -> None:
    source = tiny_checkpoint(model_type, head)
    cut = cut_vocabulary(source, tmp_path / "cut", ["the film was good", "we saw it on monday."])
    kept = numbering_of(read_checkpoint(cut)).ids
    before, after = (
        tokenizer("the good film", "was it good.", return_token_type_ids=False, return_tensors="pt")
        for tokenizer in tokenizers((source, cut))
    )
    assert torch.equal(torch.from_numpy(kept)[after["input_ids"]], before["input_ids"])
    with torch.no_grad():
        wanted, found = load(source)(**before).logits, load(cut)(**after).logits
    assert torch.equal(wanted[..., torch.from_numpy(kept)] if head == "ForMaskedLM" else wanted, found)
    assert len(kept) < tiny.VOCABULARY - 10
