"""Our own masked-sequence folders: an encoder with a head that classifies several positions of a sequence.

irti checkpoints become one; a plain encoder becomes one with a new head.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from prunecli.checkpoints.kinds.pruning_encoder import OUTER, labels_of
from prunecli.checkpoints.new_heads import cut_of, float_type, new_linear, new_norm, with_prefix
from prunecli.checkpoints.safetensors_file import TensorEntry
from prunecli.encoders import for_config
from prunecli.errors import InputError

NAME, MODEL = "masked_seq", "MaskedSeqModel"
TASKS = ("multilabel", "multiclass")
# What the config of the encoder does not say: code, types of numbers, the labels of this head.
NOT_THE_ENCODERS = (
    "auto_map", "architectures", "dtype", "torch_dtype", "transformers_version", "id2label", "label2id",
    "num_labels", "problem_type",
)  # fmt: skip


def masked_seq_model(
    says: str,
    entries: Mapping[str, Any],
    tensors: Mapping[str, TensorEntry | NewTensor],
    folder: Path,
    max_length: int | None = None,
    notes: tuple[str, ...] = (),
) -> Model:
    """Return a model in our format.

    Args:
        says: What was found.
        entries: `base_model_config`, `base_model_attr_name`, `task`, `id2label`; `base_model_cut` where it is cut.
        tensors: By their new names.
        folder: The folder with the tokenizer.
        max_length: Tokens that it was trained with.
        notes: What the user should know.
    """
    encoder = without(entries["base_model_config"], *NOT_THE_ENCODERS)
    config = {
        "model_type": NAME,
        "architectures": [MODEL],
        **entries,
        "label2id": {name: int(number) for number, name in entries["id2label"].items()},
        **{key: encoder[key] for key in OUTER if key in encoder},
        "base_model_config": encoder,
        "dtype": width_of(entry for entry in tensors.values() if isinstance(entry, TensorEntry)),
    }
    return Model(says, config, tensors, folder, encoder, max_length, notes)


def head_shapes(hidden: int, labels: int, stream: int | None = None) -> Shapes:
    """Return the shapes of the head's tensors: a linear, a layer norm, a linear.

    Args:
        hidden: Width of the head.
        labels: Its outputs.
        stream: Hidden dimensions that it reads, where these are fewer.
    """
    return {
        "head.0.weight": (hidden, stream or hidden),
        "head.0.bias": (hidden,),
        "head.2.weight": (hidden,),
        "head.2.bias": (hidden,),
        "head.3.weight": (labels, hidden),
        "head.3.bias": (labels,),
    }


def _head_shapes(config: Json, stream: int) -> Shapes:
    return head_shapes(for_config(config["base_model_config"]).hidden, len(labels_of(config)), stream)


def attribute(name: str) -> str:
    """Return what the encoder is called in tensor names, where this name is asked for."""
    found = re.sub(r"[^a-z0-9_]+", "_", name.strip().lower())
    return f"m_{found}" if found[:1].isdigit() else found


def names_of(id2label: Sequence[str], label2id: Sequence[str]) -> dict[int, str]:
    """Return the names of labels by number.

    Args:
        id2label: Items such as `0=person`.
        label2id: Items such as `person=0`; either is enough.

    Raises:
        InputError: An item has another form, the numbers have gaps, a name is given twice, or the two differ.
    """
    by_number = sorted(
        _numbered(number, name) for number, _, name in (item.partition("=") for item in id2label)
    )
    by_name = sorted(
        _numbered(number, name) for name, _, number in (item.rpartition("=") for item in label2id)
    )
    said = by_number or by_name
    gapless = [number for number, _ in said] == [*range(len(said))]
    distinct = len({name for _, name in said}) == len(said)
    if not gapless or not distinct or (by_name or said) != said:
        raise InputError(
            "--id2label and --label2id have to give each number from 0 a name of its own",
            "say --id2label 0=person --id2label 1=place",
        )
    return dict(said)


def _numbered(number: str, name: str) -> tuple[int, str]:
    if not number.isdecimal() or not name:
        raise InputError(
            f"number {number!r} and name {name!r} are no label",
            "say --id2label 0=person or --label2id person=0",
        )
    return int(number), name


def _make(model: Model, reading: Reading) -> Model:
    """Return the model itself, or a plain encoder with a new head.

    Raises:
        InputError: It was trained for something else than is asked for, or is no encoder.
    """
    return (_as_asked if model.config["model_type"] == NAME else _with_new_head)(model, reading)


def _as_asked(model: Model, reading: Reading) -> Model:
    """Return a trained model, with the names of labels that were asked for."""
    labels = labels_of(model.config)
    for key, asked, saved in (
        ("num-labels", reading.num_labels, len(labels)),
        ("num-labels", len(reading.names) or None, len(labels)),
        ("task", reading.task, model.config["task"]),
    ):
        if asked not in (None, saved):
            raise InputError(
                f"{model.says}, was trained with --{key} {saved}, but {asked} is asked for",
                f"leave --{key} out",
            )
    if not reading.names:
        return model
    named = {
        "id2label": {str(number): name for number, name in reading.names.items()},
        "label2id": {name: number for number, name in reading.names.items()},
    }
    return replace(model, config={**model.config, **named})


def _with_new_head(model: Model, reading: Reading) -> Model:
    """Take a checkpoint's bare encoder and put a head on it that has to be trained."""
    cut = cut_of(model, "head.0", stays=False)
    count = len(reading.names) or reading.num_labels
    if count is None or reading.num_labels not in (None, count):
        raise InputError(
            f"a new head for positions needs its labels: --num-labels is {reading.num_labels}, and "
            f"{len(reading.names)} have names",
            "say --num-labels 3, or --id2label 0=person --id2label 1=place ...",
        )
    encoder, name = for_config(model.encoder), attribute(str(model.encoder["model_type"]))
    prefix, hidden = f"{encoder.model_type.prefix}.", encoder.hidden
    body = {
        f"{name}.{key.removeprefix(prefix)}": entry
        for key, entry in with_prefix(model.tensors, model.encoder).items()
    }
    random, dtype = np.random.default_rng(reading.seed), float_type(body)
    head = {
        **new_linear("head.0", hidden, stream_width(model.encoder, cut), dtype, random),
        **new_norm("head.2", hidden, dtype),
        **new_linear("head.3", count, hidden, dtype, random),
    }
    entries = {
        "base_model_config": model.encoder,
        **({} if cut is None else {"base_model_cut": cut}),
        "base_model_attr_name": name,
        "task": reading.task or TASKS[0],
        "id2label": {str(number): reading.names.get(number, f"LABEL_{number}") for number in range(count)},
    }
    notes = (*model.notes, "The head is new: it has to be trained.")
    return masked_seq_model(model.says, entries, {**body, **head}, model.tokenizer, model.max_length, notes)


KIND = Kind(
    "a masked-sequence model of prunecli",
    is_around(NAME),
    read_around("masked-sequence model", "task", TASKS, _head_shapes),
    _make,
    becomes="masked-seq",
)
