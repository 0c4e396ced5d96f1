"""OpenProvence: one safetensors file with `ranking_model.*` and `pruning_head.*`.

A Trainer's checkpoint has the ranking model's tensors without the prefix. The base model that the config names is
never fetched: its config stands inside (`base_model_config`), or `--base` names a folder with it.
"""

from pathlib import Path
from typing import Any

from prunecli.checkpoints.folder import DANGEROUS_KEYS, read_checkpoint
from prunecli.checkpoints.kinds.base import Json, Kind, Model, Reading, peek, pick, whole_number
from prunecli.checkpoints.kinds.pruning_encoder import (
    HEAD,
    RERANKING,
    labels_of,
    pruning_model,
    state_of_hidden_states,
)
from prunecli.encoders import for_config
from prunecli.errors import InputError

MODEL, PRUNING = "ranking_model.", "pruning_head."
THRESHOLDS = ("default_threadshold", "default_threshold")  # the first is how the package spells it


def _recognises(folder: Path, config: Json) -> bool:
    return config.get("model_type") == "open_provence" and not (folder / "ranking_model").exists()


def _read(folder: Path, reading: Reading) -> Model:
    """Take the prefix off the ranking model's tensors and read the settings.

    Raises:
        InputError: The mode is another one, the base model's config is missing, or a head's tensor is.
    """
    checkpoint = read_checkpoint(folder, reading.allow_pickle)
    config = checkpoint.config
    if config.get("mode", RERANKING) != RERANKING:
        raise InputError(
            f"{folder / 'config.json'}: mode {config['mode']!r}, but OpenProvence has {RERANKING} only"
        )
    base = base_config(folder, config, reading)
    base["id2label"] = labels_of({"num_labels": config.get("num_labels", 1)} | _labels(base, config))
    base.pop("label2id", None)
    prefixed = any(name.startswith(MODEL) for name in checkpoint.tensors)
    known = (MODEL, PRUNING) if prefixed else ("",)
    unknown = [name for name in checkpoint.tensors if not name.startswith(known)]
    if unknown:
        raise InputError(
            f"{folder}: tensor {unknown[0]} is of no dialect that is known: neither {MODEL}* nor {PRUNING}*",
            "take the checkpoint that the package saved",
        )
    body = {
        name.removeprefix(MODEL): entry
        for name, entry in checkpoint.tensors.items()
        if name.startswith(MODEL if prefixed else "") and not name.startswith(PRUNING)
    }
    hidden = for_config(base).hidden
    names = {f"{PRUNING}classifier.{part}": new for part, new in HEAD.items()}
    shapes: dict[str, tuple[int, ...]] = {
        f"{PRUNING}classifier.weight": (2, hidden),
        f"{PRUNING}classifier.bias": (2,),
    }
    head = pick(checkpoint.tensors, names, shapes, folder)
    state, said = state_of_hidden_states({"transformers_version": config.get("transformers_version"), **base})
    dialect = "" if prefixed else ", Trainer's checkpoint"
    return pruning_model(
        f"OpenProvence{dialect}, {base.get('model_type')}", RERANKING, base, _pruning(config, state),
        {**body, **head}, folder, whole_number(config.get("max_length")), said,
    )  # fmt: skip


def base_config(folder: Path, config: Json, reading: Reading) -> Json:
    """Return the encoder's config, from the checkpoint's own or from the folder that `--base` names.

    Raises:
        InputError: There is none; the name of a model is not followed.
    """
    base = config.get("base_model_config")
    if reading.base is not None and not base:
        base = peek(reading.base, "config.json")
    if not isinstance(base, dict) or "model_type" not in base:
        raise InputError(
            f"{folder / 'config.json'} has no base_model_config, only base_model_name_or_path "
            f"{config.get('base_model_name_or_path')!r}, which leads out of the folder and is not followed",
            "name a folder with the base model's config.json: --base FOLDER",
        )
    return {key: value for key, value in base.items() if key not in DANGEROUS_KEYS}


def _labels(base: Json, config: Json) -> Json:
    """Return the base model's labels where they are as many as the config says."""
    labels = base.get("id2label")
    fits = isinstance(labels, dict) and len(labels) == config.get("num_labels", len(labels))
    return {"id2label": labels} if fits else {}


def _pruning(config: Json, state: str) -> Json:
    stated = config.get("pruning_config")
    own: Json = stated if isinstance(stated, dict) else {}
    dropout: Any = own.get("classifier_dropout", own.get("dropout", config.get("classifier_dropout")))
    threshold = next((config[key] for key in THRESHOLDS if config.get(key) is not None), None)
    return {
        "classifier_dropout": 0.1 if dropout is None else dropout,
        "hidden_state": state,
        "default_threshold": threshold,
    }


KIND = Kind("OpenProvence", _recognises, _read, becomes="pruning-encoder")
