"""Our own PruningEncoder folders: one config, one set of weights with stock names, `pruning_head.classifier` on top.

`pruning_encoder` is the first of the formats that others become; a plain encoder becomes one with a new head.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prunecli.checkpoints.kinds.base import (
    Json,
    Kind,
    Model,
    NewTensor,
    Reading,
    Shapes,
    is_around,
    read_around,
    stream_width,
    width_of,
    without,
)
from prunecli.checkpoints.new_heads import cut_of, float_type, new_linear, with_prefix
from prunecli.checkpoints.safetensors_file import TensorEntry
from prunecli.encoders import for_config
from prunecli.errors import InputError

NAME = "pruning_encoder"
RERANKING, PRUNING_ONLY = "reranking_pruning", "pruning_only"
LAST_HIDDEN_STATE, PRE_FINAL_NORM = "last_hidden_state", "pre_final_norm"
SEQUENCE, TOKENS = "PruningEncoderForSequenceClassification", "PruningEncoderForTokenClassification"
HEAD = {"weight": "pruning_head.classifier.weight", "bias": "pruning_head.classifier.bias"}
PRUNING_LABELS = {"0": "prune", "1": "keep"}
# From 5.1 on, the last hidden state that ModernBERT gives is the one after its final norm.
NORMED_SINCE = (5, 1)
# What others look for at the top: sizes, and the activation that CrossEncoder puts on scores.
OUTER = (
    "sentence_transformers", "sbert_ce_default_activation_function", "vocab_size", "hidden_size",
    "max_position_embeddings", "type_vocab_size", "pad_token_id",
)  # fmt: skip


def pruning_model(
    says: str,
    mode: str,
    base: Mapping[str, Any],
    pruning: Json,
    tensors: Mapping[str, TensorEntry | NewTensor],
    tokenizer: Path,
    max_length: int | None = None,
    notes: tuple[str, ...] = (),
    cut: Json | None = None,
) -> Model:
    """Return a model in our format.

    Args:
        says: What was found.
        mode: `reranking_pruning` or `pruning_only`.
        base: The stock config of the encoder.
        pruning: `classifier_dropout`, `hidden_state`, `default_threshold`.
        tensors: By their new names.
        tokenizer: The folder with the tokenizer.
        max_length: Tokens that it was trained with.
        notes: What the user should know.
        cut: What was cut out of the encoder; None where nothing was.

    Raises:
        UnsupportedModelError: The encoder's family has no table.
        InputError: Labels or dropout make no sense.
    """
    encoder = without(base, "auto_map", "architectures", "dtype", "torch_dtype", "transformers_version")
    for_config(encoder)  # names the family that is not supported
    dropout = pruning["classifier_dropout"]
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise InputError(f"the dropout of the pruning head is {dropout!r}", "write a number from 0 to 1")
    labels = labels_of(base) if mode == RERANKING else PRUNING_LABELS
    stored = [entry for entry in tensors.values() if isinstance(entry, TensorEntry)]
    config = {
        "model_type": NAME,
        "architectures": [SEQUENCE if mode == RERANKING else TOKENS],
        "mode": mode,
        "id2label": labels,
        "label2id": {name: int(number) for number, name in labels.items()},
        **{key: encoder[key] for key in OUTER if key in encoder},
        "pruning_config": {"hidden_size": for_config(encoder).hidden, **pruning},
        "base_model_config": encoder,
        **({} if cut is None else {"base_model_cut": cut}),
        "dtype": width_of(stored),
    }
    return Model(says, config, tensors, tokenizer, encoder, max_length, notes)


def labels_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a config's labels by number; transformers writes none where there are two without a name.

    Raises:
        InputError: They are not numbered from 0 on.
    """
    labels = config.get("id2label")
    if isinstance(labels, dict) and labels:
        if sorted(map(str, labels)) != sorted(map(str, range(len(labels)))):
            raise InputError(
                f"id2label is not numbered 0 to {len(labels) - 1}", "number the labels in config.json"
            )
        return {str(number): str(name) for number, name in labels.items()}
    count = config.get("num_labels", 2)
    return {str(number): f"LABEL_{number}" for number in range(count if type(count) is int else 2)}


def state_of_hidden_states(base: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return which state `hidden_states[-1]` was where a head was trained on it, and what to say about that.

    For most encoders it is the output. For ModernBERT it went into the final norm up to transformers 5.0.
    """
    if base.get("model_type") != "modernbert":
        return LAST_HIDDEN_STATE, ()
    version = base.get("transformers_version")
    parts = str(version).split(".")[:2]
    known = version is not None and len(parts) == 2 and all(part.isdecimal() for part in parts)
    if base.get("tie_last_hidden_states") is not False and known and tuple(map(int, parts)) >= NORMED_SINCE:
        return LAST_HIDDEN_STATE, ()
    said = f"transformers {version} saved it" if known else "no transformers version is noted"
    return PRE_FINAL_NORM, (
        f"The pruning head reads ModernBERT's state before the final norm, as it was trained ({said}).",
    )


def _head_shapes(config: Json, stream: int) -> Shapes:
    return {HEAD["weight"]: (len(PRUNING_LABELS), stream), HEAD["bias"]: (len(PRUNING_LABELS),)}


def _make(model: Model, reading: Reading) -> Model:
    """Return the model itself, or a plain encoder with a new pruning head."""
    if model.config["model_type"] == NAME:
        return model
    architecture = str((model.config.get("architectures") or [""])[0])
    ranks = architecture.endswith("ForSequenceClassification")
    cut = cut_of(model, "pruning_head.classifier", stays=ranks)
    tensors = model.tensors if ranks else with_prefix(model.tensors, model.encoder)
    random, hidden = np.random.default_rng(reading.seed), stream_width(model.encoder, cut)
    head = new_linear("pruning_head.classifier", len(PRUNING_LABELS), hidden, float_type(tensors), random)
    pruning = {"classifier_dropout": 0.1, "hidden_state": LAST_HIDDEN_STATE}
    return pruning_model(
        model.says, RERANKING if ranks else PRUNING_ONLY, model.encoder, pruning, {**tensors, **head},
        model.tokenizer, model.max_length, (*model.notes, "The pruning head is new: it has to be trained."), cut,
    )  # fmt: skip


KIND = Kind(
    "PruningEncoder as prunecli writes it",
    is_around(NAME),
    read_around("PruningEncoder", "mode", (RERANKING, PRUNING_ONLY), _head_shapes),
    _make,
    becomes="pruning-encoder",
)
