"""Builders of tiny real models: 3 layers, 4 heads of 8, 48 neurons, every weight and bias drawn at random.

Plain functions, no fixtures: `conftest.py` and the tests call them.
"""

import string
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.config import ApplyMasksConfig
from prunecli.encoders import Encoder, ModelType, for_config, supported_model_types
from prunecli.masks import MaskSet, formats
from prunecli.masks.units import GROUPS, mask_shape
from prunecli.models.loading import load_model, model_class
from prunecli.models.masked_seq import MaskedSeqConfig, MaskedSeqModel
from prunecli.models.pruned import head_of, is_pruned
from prunecli.models.pruning_encoder import (
    PruningEncoderConfig,
    PruningEncoderForSequenceClassification,
    PruningEncoderForTokenClassification,
)
from prunecli.models.shipped import encoder_of
from prunecli.operations import apply_masks

MODEL_TYPES = supported_model_types()
CLASSIFICATION, QUESTIONS = "ForSequenceClassification", "ForQuestionAnswering"
HEADS = (CLASSIFICATION, QUESTIONS)
# What transformers has no class for, so that a new family cannot lack one unnoticed.
HEADLESS = {
    "eurobert": ("ForMultipleChoice", QUESTIONS),
    "gte": ("ForMultipleChoice", QUESTIONS),
    "jina_embeddings_v3": ("ForMultipleChoice",),
    "nomic_bert": ("ForMultipleChoice", QUESTIONS),
}
OTHER_HEADS = ("ForTokenClassification", "ForMultipleChoice", "ForMaskedLM", "Model")
OTHER_MODELS = [
    (name, head) for name in MODEL_TYPES for head in OTHER_HEADS if head not in HEADLESS.get(name, ())
]
MODELS = [(name, head) for name in MODEL_TYPES for head in HEADS if head not in HEADLESS.get(name, ())]

STREAMS = [
    (name, head)
    for name in MODEL_TYPES
    if name in ("bert", "camembert", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta")
    for head in (*HEADS, "ForTokenClassification", "ForMultipleChoice")
]  # whose hidden dimensions can go
# Models around an encoder, in each of their modes.
AROUND: dict[str, tuple[type[PreTrainedModel], type[PreTrainedConfig], dict[str, Any]]] = {
    "MaskedSeqModel": (MaskedSeqModel, MaskedSeqConfig, {"num_labels": 3}),
    "PruningEncoderForSequenceClassification": (
        PruningEncoderForSequenceClassification, PruningEncoderConfig, {"mode": "reranking_pruning"},
    ),
    "PruningEncoderForTokenClassification": (
        PruningEncoderForTokenClassification, PruningEncoderConfig, {"mode": "pruning_only"},
    ),
}  # fmt: skip
AROUND_MODELS = [(name, head) for name in ("bert", "modernbert") for head in AROUND]

LAYERS, ATTENTION_HEADS, HIDDEN, INTERMEDIATE, VOCABULARY, TOKENS, LABELS = 3, 4, 32, 48, 100, 64, 3
FIELDS = {
    "n_layers": LAYERS, "n_heads": ATTENTION_HEADS, "dim": HIDDEN, "hidden_dim": INTERMEDIATE,
    "num_hidden_layers": LAYERS, "num_attention_heads": ATTENTION_HEADS, "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
}  # fmt: skip
SPECIAL = {
    "BertTokenizer": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "PreTrainedTokenizerFast": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "RoFormerTokenizer": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "RemBertTokenizer": ("<pad>", "[CLS]", "<unk>", "[SEP]", "[MASK]"),
    "DebertaV2Tokenizer": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "AlbertTokenizer": ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
    "MPNetTokenizer": ("<s>", "<pad>", "</s>", "[UNK]", "<mask>"),
}
OWN_FIELDS: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16, "num_hidden_groups": LAYERS, "num_hidden_layers": 2 * LAYERS},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8},
    "electra": {"embedding_size": 16},
    "eurobert": {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "mask_token_id": 4},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16, "bos_token_id": 1, "eos_token_id": 3},
    "modernbert": {
        "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3,
        "local_attention": 8,
    },
}  # fmt: skip
WORDS = (
    "the", "a", "film", "was", "good", "bad", "dull", "and", "not", "very", "we", "saw", "it", "on", "monday",
)  # fmt: skip


def row(model_type: str) -> ModelType:
    """Return the family table's row of a `model_type`."""
    return for_config(tiny_config(model_type).to_dict()).model_type


def tiny_config(model_type: str, **changes: Any) -> PreTrainedConfig:
    """Return the config of a tiny model; some families have names of their own for the sizes."""
    known = AutoConfig.for_model(model_type).to_dict()
    named = {name: size for name, size in FIELDS.items() if name in known}
    offset = 2 if known["pad_token_id"] == 1 else 0  # RoBERTa counts positions from the padding index + 1
    entries = {"vocab_size": VOCABULARY, "max_position_embeddings": TOKENS + offset, **named}
    return AutoConfig.for_model(model_type, **{**entries, **OWN_FIELDS.get(model_type, {}), **changes})


def tiny_model(model_type: str, head: str = CLASSIFICATION, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """Build a model of the stock class or around one; its biases and norms are not the usual zeros and ones."""
    if head in AROUND:
        return _model_around(model_type, head, seed, **changes)
    labels = {"num_labels": LABELS} if head == CLASSIFICATION else {}
    config = tiny_config(model_type, **{**labels, **changes})
    model: PreTrainedModel = getattr(transformers, row(model_type).stem + head)(config)
    randomise(model, seed)
    return model.eval()


def _model_around(model_type: str, head: str, seed: int, **changes: Any) -> PreTrainedModel:
    cls, config_class, entries = AROUND[head]
    base = tiny_config(model_type, num_labels=1).to_dict()
    model = cls(config_class(base_model_config=base, **{**entries, **changes}))
    randomise(model, seed)
    return model.eval()


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw every parameter anew, wide enough that outputs vary from input to input."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        *_, module, kind = name.split(".")
        centre = 1.0 if "norm" in module.lower() and kind == "weight" else 0.0
        parameter.copy_(centre + 0.2 * torch.randn(parameter.shape, generator=generator))


def tiny_tokenizer(model_type: str) -> PreTrainedTokenizerBase:
    """Build the family's own kind of tokenizer, which knows `WORDS` and spells everything else."""
    name = row(model_type).tokenizer
    letters = [*string.ascii_lowercase, *string.digits, "."]
    special = SPECIAL.get(name, ("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    if name == "RobertaTokenizer":  # pairs of letters are merged: none
        spelled = _numbered([*special, "Ġ", *letters])
        return transformers.RobertaTokenizer(vocab=spelled, merges=[], model_max_length=TOKENS)
    if name in (
        "BertTokenizer",
        "MPNetTokenizer",
        "PreTrainedTokenizerFast",
        "RoFormerTokenizer",
    ):  # word pieces
        pieces = _numbered([*special, *WORDS, *letters, *(f"##{letter}" for letter in letters)])
        cls = transformers.MPNetTokenizer if name == "MPNetTokenizer" else transformers.BertTokenizer
        tokenizer = cls(
            vocab=pieces, model_max_length=TOKENS
        )  # RoFormer's own needs rjieba, for Chinese words
        return _fast(tokenizer) if name == "PreTrainedTokenizerFast" else tokenizer
    words = [f"▁{word}" for word in WORDS if len(word) > 1]  # unigrams with scores
    scored = [(token, -float(number)) for number, token in enumerate([*special, *words, "▁", *letters])]
    return getattr(transformers, name)(vocab=scored, model_max_length=TOKENS)


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def _fast(tokenizer: Any) -> PreTrainedTokenizerBase:
    """Return a tokenizer that only its file describes, as ModernBERT has it."""
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=TOKENS,
        **tokenizer.special_tokens_map,
    )


def save_tiny(
    folder: Path, model_type: str, head: str = CLASSIFICATION, dtype: str = "float32", **changes: Any
) -> Path:
    """Save a tiny model and its tokenizer as `save_pretrained` does; `changes` go into the config."""
    model = tiny_model(model_type, head, **changes).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    tiny_tokenizer(model_type).save_pretrained(folder)
    return folder


def load(folder: Path, dtype: str = "float32", attention: str = "eager") -> PreTrainedModel:
    """Load a stock or a pruned folder; in float32 as prunecli does it, else with the same class."""
    checkpoint = read_checkpoint(folder)
    if dtype == "float32":
        model = load_model(checkpoint).model
    else:
        encoder = encoder_of(checkpoint)
        cls = model_class(encoder, head_of(checkpoint.architecture, encoder), is_pruned(checkpoint.config))
        model = cls.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    use_attention(model, attention)
    return model


def attentions(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the ways in which a model can compute attention on a CPU."""
    return ("eager", "sdpa") if type(model)._supports_sdpa else ("eager",)


def use_attention(model: PreTrainedModel, attention: str) -> None:
    """Compute attention the `eager` or the `sdpa` way from now on.

    `set_attn_implementation` reads a class's source file, which the class that prunecli makes in memory has not.
    """
    model.config._attn_implementation = attention
    model.base_model.config._attn_implementation = attention  # another one in models around an encoder


def table(model: PreTrainedModel) -> Encoder:
    """Return the table and sizes of a live stock model."""
    return for_config(model.config.to_dict())


def sizes(folder: Path) -> Encoder:
    """Return the table and sizes of the encoder in a checkpoint folder."""
    return encoder_of(read_checkpoint(folder))


def random_masks(
    encoder: Encoder, groups: tuple[str, ...], seed: int, real: bool = False, empty: bool = False
) -> MaskSet:
    """Draw masks that keep about half of the units.

    Args:
        encoder: The model.
        groups: Groups that get a mask.
        seed: Of the draw.
        real: Whether kept units have values from -0.5 to 2 instead of 1; only parts of layers ever have.
        empty: Whether the first layer loses all units of `head` and the last those of `ffn_int`.
    """
    random = np.random.default_rng(seed)
    masks = {}
    for group in groups:
        shape = mask_shape(encoder, group)
        kept = random.random(shape) < 0.5
        kept[min(1, len(kept) - 1), 0] = True  # masks that remove everything are refused
        values = random.uniform(-0.5, 2.0, shape) if real and group in GROUPS else np.ones(shape)
        masks[group] = np.where(kept, values, 0).astype(np.float32)
    if empty and "head" in masks:
        masks["head"][0] = 0
    if empty and "ffn_int" in masks:
        masks["ffn_int"][-1] = 0
    return MaskSet(masks)


def cut(source: Path, masks: MaskSet, out: Path, native: str = "auto", **options: Any) -> Path:
    """Write the masks next to `out` and cut them out of a checkpoint, as `prunecli apply-masks` does."""
    folder = out.with_name(out.name + "-masks")
    folder.mkdir(parents=True)
    formats.write(masks, sizes(source), folder)
    options |= {"source": source, "masks": folder / formats.FILE, "out": out, "native": native}
    apply_masks.run(ApplyMasksConfig.of(options))
    return out


def tiny_inputs(
    model: PreTrainedModel, examples: int = 2, tokens: int = 9, seed: int = 0
) -> dict[str, Tensor]:
    """Draw token ids without special tokens; the last example ends with three padded positions."""
    generator = torch.Generator().manual_seed(seed)
    ids_BT = torch.randint(5, VOCABULARY, (examples, tokens), generator=generator)
    mask_BT = torch.ones_like(ids_BT)
    ids_BT[-1, -3:], mask_BT[-1, -3:] = model.config.pad_token_id, 0
    if type(model).__name__.endswith("ForMultipleChoice"):  # as many questions, with one choice each
        return {"input_ids": ids_BT[:, None], "attention_mask": mask_BT[:, None]}
    return {"input_ids": ids_BT, "attention_mask": mask_BT}


@torch.no_grad()
def outputs(model: PreTrainedModel, inputs: dict[str, Tensor]) -> Tensor:
    """Return all floating outputs of a model as one flat tensor; padded positions do not count."""
    found = model(**inputs)
    kept = inputs["attention_mask"].bool()  # [B, T]; what has these dimensions is said of tokens
    parts = [value[kept] if value.shape[:2] == kept.shape else value for value in found.values()]
    return torch.cat([part.flatten() for part in parts])
