"""New heads for encoders, whole or cut: which tensors of a checkpoint stay, and what the head's start as."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from prunecli.checkpoints.cut_keys import CUT_KEYS
from prunecli.checkpoints.kinds.base import Json, Model, NewTensor, width_of
from prunecli.checkpoints.kinds.pruned import PREFIX
from prunecli.checkpoints.number_types import from_floats
from prunecli.checkpoints.safetensors_file import Declared, TensorEntry
from prunecli.encoders import for_config
from prunecli.errors import InputError

STD = 0.02  # of new weights, as transformers draws them
TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}

Tensors = Mapping[str, TensorEntry | NewTensor]


def cut_of(model: Model, reader: str, stays: bool) -> Json | None:
    """Return what prunecli cut out of the encoder that a new head stands on; None for a whole one.

    Args:
        model: The encoder, maybe with a stock head.
        reader: The linear of the new head that reads hidden states.
        stays: Whether the stock head does.

    Raises:
        InputError: The model has a head of ours already, or has lost heads in transformers 4's words.
    """
    cut = {key: model.config[key] for key in CUT_KEYS if key in model.config}
    if model.config["model_type"] != (PREFIX if cut else "") + model.encoder["model_type"]:
        raise InputError(
            f"{model.says}, is no plain encoder, and a new head stands on one", "take the encoder by itself"
        )
    if model.config.get("pruned_heads"):
        raise InputError(
            f"{model.tokenizer} notes removed heads as transformers 4 did, and a new head cannot stand on that",
            "convert it once without --to, and then what that writes",
        )
    if cut.get("hidden_dimensions") is not None:
        cut["narrowed_head"] = {**(cut["narrowed_head"] if stays else {}), reader: 1}
    return cut or None


def with_prefix(tensors: Tensors, base: Mapping[str, Any]) -> dict[str, TensorEntry]:
    """Return a bare encoder's tensors as they are called inside a model, without its pooler."""
    prefix = f"{for_config(base).model_type.prefix}."
    inside = any(name.startswith(prefix) for name in tensors)
    named = tensors if inside else {prefix + name: entry for name, entry in tensors.items()}
    return {
        name: entry
        for name, entry in named.items()
        if isinstance(entry, TensorEntry)
        and name.startswith(prefix)
        and not name.startswith(f"{prefix}pooler.")
    }


def float_type(tensors: Tensors) -> str:
    """Return the type of most values, which those of a new head get too."""
    return TYPES[width_of(entry for entry in tensors.values() if isinstance(entry, TensorEntry))]


def new_linear(
    name: str, rows: int, columns: int, dtype: str, random: np.random.Generator
) -> dict[str, NewTensor]:
    """Return weight and bias of a linear: the one drawn, the other zeros."""
    drawn = random.normal(0, STD, (rows, columns)).astype(np.float32)
    return _filled(name, drawn, np.zeros(rows, np.float32), dtype)


def new_norm(name: str, width: int, dtype: str) -> dict[str, NewTensor]:
    """Return weight and bias of a layer norm: ones and zeros."""
    return _filled(name, np.ones(width, np.float32), np.zeros(width, np.float32), dtype)


def _filled(name: str, weight: Any, bias: Any, dtype: str) -> dict[str, NewTensor]:
    return {
        f"{name}.{part}": NewTensor(
            Declared(f"{name}.{part}", dtype, values.shape), from_floats(values, dtype).tobytes()
        )
        for part, values in (("weight", weight), ("bias", bias))
    }
