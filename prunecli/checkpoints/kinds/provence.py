"""Provence (DeBERTa-v3) and XProvence (XLM-RoBERTa): the encoder, `classifier`, and `token_classifier`.

Provence's classifier stands on the pooler that the stock DeBERTa class has. XProvence's stands on XLM-RoBERTa's
pooler, which computes what the stock class's `classifier.dense` does: the same tensors under other names.
"""

from pathlib import Path

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.kinds.base import Json, Kind, Model, Reading, pick
from prunecli.checkpoints.kinds.pruning_encoder import (
    HEAD,
    LAST_HIDDEN_STATE,
    RERANKING,
    labels_of,
    pruning_model,
)
from prunecli.checkpoints.safetensors_file import TensorEntry
from prunecli.encoders import for_config
from prunecli.errors import InputError

TOKENS = "token_classifier."
# Of a checkpoint, by what its encoder's tensors begin with: the encoder's model_type, and new names of tensors.
DIALECTS: dict[str, tuple[str, dict[str, str]]] = {
    "deberta.": ("deberta-v2", {}),
    "roberta.": (
        "xlm-roberta",
        {
            "roberta.pooler.dense.weight": "classifier.dense.weight",
            "roberta.pooler.dense.bias": "classifier.dense.bias",
            "classifier.weight": "classifier.out_proj.weight",
            "classifier.bias": "classifier.out_proj.bias",
        },
    ),
}
THRESHOLD = 0.1  # the default of the original's process()


def _recognises(folder: Path, config: Json) -> bool:
    return str(config.get("model_type", "")).lower() in ("provence", "xprovence")


def _read(folder: Path, reading: Reading) -> Model:
    """Give the tensors the stock class's names.

    Raises:
        InputError: It has no encoder that is known, or a tensor of a head is missing.
    """
    checkpoint = read_checkpoint(folder, reading.allow_pickle)
    prefix = next((key for key in DIALECTS if any(name.startswith(key) for name in checkpoint.tensors)), None)
    if prefix is None:
        raise InputError(
            f"{folder}: no tensor begins with {' or '.join(DIALECTS)}",
            "take a checkpoint of Provence or XProvence",
        )
    model_type, renamed = DIALECTS[prefix]
    lost = [name for name in renamed if name not in checkpoint.tensors]
    if lost:
        raise InputError(f"{folder}: tensor {lost[0]} is missing", "copy the whole checkpoint")
    base = {**checkpoint.config, "model_type": model_type, "id2label": _labels(checkpoint.tensors)}
    base.pop("label2id", None)
    hidden = for_config(base).hidden
    body = {
        renamed.get(name, name): entry
        for name, entry in checkpoint.tensors.items()
        if not name.startswith(TOKENS)
    }
    names = {TOKENS + part: new for part, new in HEAD.items()}
    shapes: dict[str, tuple[int, ...]] = {f"{TOKENS}weight": (2, hidden), f"{TOKENS}bias": (2,)}
    pruning = {"classifier_dropout": 0.1, "hidden_state": LAST_HIDDEN_STATE, "default_threshold": THRESHOLD}
    title = "Provence" if model_type == "deberta-v2" else "XProvence"
    return pruning_model(
        f"{title}, {model_type}", RERANKING, base, pruning,
        {**body, **pick(checkpoint.tensors, names, shapes, folder)}, folder,
        notes=(
            "Its license (CC BY-NC 4.0 for Provence, CC BY-NC-ND for XProvence) goes with the weights.",
            "It was trained on `question [SEP] context` as one text.",
        ),
    )  # fmt: skip


def _labels(tensors: dict[str, TensorEntry]) -> dict[str, str]:
    """Return names for the rows of the classifier, which no config states."""
    weight = tensors.get("classifier.weight")
    return labels_of({"num_labels": weight.shape[0] if weight is not None and weight.shape else 1})


KIND = Kind("Provence, XProvence", _recognises, _read, becomes="pruning-encoder")
