"""Tokenizer documents of every type, cut by hand: what stays, what is numbered anew, and what is refused."""

import json
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from prunecli.checkpoints.tokenizer_vocabulary import kept_ids, renumbered, token_ids
from prunecli.errors import InputError
from prunecli.shrink.vocabulary import new_ids
from tests import trained


def bare(model: Any, trainer: Any) -> Tokenizer:
    """Train a tokenizer that splits at blanks and has one added token after the model's own."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(trained.texts(500, seed=0), trainer)
    tokenizer.add_special_tokens(["<extra>"])
    return tokenizer


def cut(tokenizer: Tokenizer, texts: list[str]) -> tuple[Tokenizer, dict[int, int]]:
    """Cut what some texts do not use; return the new tokenizer and the new id of each kept token."""
    document = trained.document(tokenizer)
    used = {number for text in texts for number in tokenizer.encode(text, add_special_tokens=False).ids}
    new = new_ids(np.array(sorted(kept_ids(document, used))))
    return Tokenizer.from_str(json.dumps(renumbered(document, new))), new


SPECIAL = ["<unk>", "<pad>"]
BARE = {
    "WordLevel": lambda: bare(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(special_tokens=SPECIAL)),
    "WordPiece": lambda: bare(
        models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(vocab_size=150, special_tokens=SPECIAL)
    ),
    "BPE of letters": lambda: bare(
        models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
        trainers.BpeTrainer(vocab_size=200, special_tokens=SPECIAL, end_of_word_suffix="</w>"),
    ),
    "BPE with prefix": lambda: bare(
        models.BPE(unk_token="<unk>", continuing_subword_prefix="##"),
        trainers.BpeTrainer(vocab_size=200, special_tokens=SPECIAL, continuing_subword_prefix="##"),
    ),
    "Unigram": lambda: bare(
        models.Unigram(),
        trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BARE)
def test_kept_tokens_split_texts_as_before(kind: str) -> None:
    before = BARE[kind]()
    after, new = cut(before, trained.texts(30, seed=1))
    assert len(new) < before.get_vocab_size() - 20
    covered = 0
    for text in trained.texts(300, seed=2):
        old, found = before.encode(text), after.encode(text)
        if set(old.ids) <= new.keys():
            covered += 1
            assert ([new[number] for number in old.ids], old.tokens) == (found.ids, found.tokens)
    assert 30 < covered < 300


@pytest.mark.parametrize("kind", BARE)
def test_added_tokens_stay_and_ids_have_no_holes(kind: str) -> None:
    before = BARE[kind]()
    after, new = cut(before, ["kalo"])
    assert {"<unk>", "<pad>", "<extra>"} <= after.get_vocab().keys()
    assert sorted(after.get_vocab().values()) == list(range(len(new)))
    assert {after.id_to_token(new[number]) for number in new} == {
        before.id_to_token(number) for number in new
    }


def test_an_unknown_character_costs_what_it_did() -> None:
    """The piece of the lowest score stays: unknown characters cost a fixed distance from it."""
    pieces = [("<unk>", 0.0), ("a", -1.0), ("éa", -20.0), ("é", -19.5), ("rare", -30.0)]
    before = Tokenizer(models.Unigram(pieces, unk_id=0))
    after, new = cut(before, ["éa"])
    assert "rare" in after.get_vocab()
    assert [after.encode("éa").tokens, before.encode("éa").tokens] == [["éa"]] * 2
    assert set(new) == {0, 1, 2, 3, 4}


def test_bytes_stay_where_unknown_letters_are_spelled_by_them() -> None:
    pieces = [
        ("<unk>", 0.0),
        ("a", -1.0),
        ("b", -2.0),
        *((f"<0x{number:02X}>", -9.0) for number in range(256)),
    ]
    before = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    after, new = cut(before, ["a"])
    assert set(new) == set(range(259)) - {2}
    assert after.encode("ß").tokens == before.encode("ß").tokens == ["<0xC3>", "<0x9F>"]


def test_byte_level_letters_stay() -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, "Ã": 3, "日": 4}, [("a", "b")]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.ByteLevel()])
    after, _ = cut(tokenizer, ["ab"])
    assert set(after.get_vocab()) == {"a", "b", "ab", "Ã"}


@pytest.mark.parametrize("kind", ["template", "bert", "roberta", "sequence"])
def test_special_tokens_of_the_post_processor_are_numbered_anew(kind: str) -> None:
    tokenizer = Tokenizer(
        models.WordLevel({"x": 0, "[UNK]": 1, "y": 2, "[CLS]": 3, "[SEP]": 4, "[PAD]": 5}, "[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 3), ("[SEP]", 4)]
    )
    tokenizer.post_processor = {
        "template": template,
        "bert": processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3)),
        "roberta": processors.RobertaProcessing(("[SEP]", 4), ("[CLS]", 3)),
        "sequence": processors.Sequence([processors.ByteLevel(), template]),
    }[kind]
    tokenizer.enable_padding(pad_id=5, pad_token="[PAD]", length=5)
    after, new = cut(tokenizer, ["y"])
    assert new == {1: 0, 2: 1, 3: 2, 4: 3, 5: 4}
    assert after.encode("y").ids == [2, 1, 3, 4, 4]
    assert after.encode("x").tokens == ["[CLS]", "[UNK]", "[SEP]", "[PAD]", "[PAD]"]


def test_merges_are_read_in_their_older_form() -> None:
    document = trained.document(
        Tokenizer(models.BPE({"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "bc": 5}, []))
    )
    document["model"]["merges"] = ["a b", "ab c", "b c"]
    assert kept_ids(document, {3}) == {0, 1, 3}
    found = renumbered(document, {0: 0, 1: 1, 3: 2})["model"]
    assert (found["vocab"], found["merges"]) == ({"a": 0, "b": 1, "ab": 2}, ["a b"])


def test_ids_that_the_library_would_not_give_are_refused() -> None:
    """An added token numbers itself after the model's own, whatever its id in the file."""
    document = trained.document(Tokenizer(models.WordLevel({"[UNK]": 0, "a": 5, "b": 6}, "[UNK]")))
    token = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    document["added_tokens"] = [{"id": 2, "content": "[MASK]", **token}]
    assert token_ids(document)["[MASK]"] == 2
    with pytest.raises(InputError, match=r"token '\[MASK\]' would get id 2 instead of 1"):
        renumbered(document, {0: 0, 2: 1, 5: 2})


def test_a_type_that_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match="type Other cannot lose tokens"):
        kept_ids({"model": {"type": "Other", "vocab": {}}, "added_tokens": []}, set())
