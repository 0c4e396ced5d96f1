"""Tiny checkpoints whose tokenizers were trained on made-up texts: word pieces, byte-level BPE, unigrams."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase

from tests import tiny

SYLLABLES = ("ka", "lo", "mi", "ten", "ra", "su", "vé", "no", "qui", "dor", "pel", "ß", "ch")
RARE = ("ünik", "żółw", "日本", "🙂", "x9", "...")
MODEL_TYPES = ("bert", "roberta", "xlm-roberta")


def texts(count: int, seed: int, rare: float = 0.0) -> list[str]:
    """Draw texts of made-up words, common ones more often; `rare` is the share of words in other letters."""
    random = np.random.default_rng(seed)
    words = ["".join(np.random.default_rng(word).choice(SYLLABLES, 1 + word % 4)) for word in range(200)]
    chances = 1 / np.arange(1, len(words) + 1)
    found = []
    for _ in range(count):
        drawn = random.choice(words, 1 + random.integers(12), p=chances / chances.sum())
        found.append(" ".join(random.choice(RARE) if random.random() < rare else word for word in drawn))
    return found


def word_pieces() -> PreTrainedTokenizerBase:
    special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=320, special_tokens=special))
    return transformers.BertTokenizer(
        vocab=raw.get_vocab(), do_lower_case=False, model_max_length=tiny.TOKENS
    )


def byte_pairs() -> PreTrainedTokenizerBase:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet)
    raw.train_from_iterator(corpus(), trainer)
    merges = [tuple(merge) for merge in document(raw)["model"]["merges"]]
    return transformers.RobertaTokenizer(vocab=raw.get_vocab(), merges=merges, model_max_length=tiny.TOKENS)


def unigrams() -> PreTrainedTokenizerBase:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    raw = Tokenizer(models.Unigram())
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.train_from_iterator(
        corpus(), trainers.UnigramTrainer(vocab_size=320, special_tokens=special, unk_token="<unk>")
    )
    pieces = [tuple(entry) for entry in document(raw)["model"]["vocab"]]
    return transformers.XLMRobertaTokenizer(vocab=[*pieces, ("<mask>", 0.0)], model_max_length=tiny.TOKENS)


def document(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what a tokenizer's `tokenizer.json` would hold."""
    found: dict[str, Any] = json.loads(tokenizer.to_str())
    return found


def corpus() -> list[str]:
    """Return the texts that the tokenizers are trained on."""
    return texts(2000, seed=0, rare=0.05)


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "bert": word_pieces,
    "roberta": byte_pairs,
    "xlm-roberta": unigrams,
}


def save(folder: Path, model_type: str, head: str = tiny.CLASSIFICATION, spare_rows: int = 3) -> Path:
    """Save a tiny model with a trained tokenizer; some rows of the embeddings have no token."""
    tokenizer = TOKENIZERS[model_type]()
    tiny.tiny_model(model_type, head, vocab_size=len(tokenizer) + spare_rows).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
