"""Checkpoints of the package irti_custom: an encoder with a head for several positions of a sequence.

The folder has a `config.json` (`model_type` irti_masked_seq_modeling, the encoder's whole config in
`base_model_config`) and safetensors: the encoder under `base_model_attr_name`, then `head.0` (linear), `head.2`
(layer norm) and `head.3` (linear). Whatever else the config asks for, such as code or a base model, is left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunecli.checkpoints.folder import DANGEROUS_KEYS, Checkpoint, read_checkpoint
from prunecli.checkpoints.kinds.base import Json, Kind, Model, Reading, peek, pick
from prunecli.checkpoints.kinds.masked_seq import TASKS, attribute, head_shapes, masked_seq_model
from prunecli.checkpoints.safetensors_file import TensorEntry
from prunecli.encoders import for_config
from prunecli.errors import InputError

MODEL_TYPE = "irti_masked_seq_modeling"
POOLER = "pooler."  # no output reads it


@dataclass(frozen=True, slots=True)
class IrtiMaskedSeq:
    """What a folder says, in the words of `MaskedSeqConfig`.

    Attributes:
        config: `base_model_config`, `base_model_attr_name`, `task`, `id2label`.
        tensors: Where the tensors stand; their names are those of our model.
    """

    config: dict[str, Any]
    tensors: dict[str, TensorEntry]


def recognises(config: Mapping[str, Any]) -> bool:
    """Say whether a `config.json` is of this kind."""
    return config.get("model_type") == MODEL_TYPE


def read(
    checkpoint: Checkpoint,
    base_config: Mapping[str, Any] | None = None,
    id2label: Mapping[int, str] | None = None,
) -> IrtiMaskedSeq:
    """Read a folder.

    Args:
        checkpoint: The folder.
        base_config: The encoder's config, for a folder that lost it.
        id2label: Names of the labels, for a folder whose own do not fit the head.

    Raises:
        InputError: The encoder's config is missing, a tensor is missing or of another shape than the rest says, or the
            labels are not those of the head.
    """
    config, path = checkpoint.config, checkpoint.path / "config.json"
    encoder = _encoder_config(config, base_config, str(path))
    if config.get("task") not in TASKS:
        raise InputError(f"{path}: task {config.get('task')!r} is neither {' nor '.join(TASKS)}")
    name = attribute(str(config.get("base_model_attr_name") or encoder["model_type"]))
    tensors = _tensors(checkpoint, name)
    labels = _check_head(checkpoint)
    names = {str(key): value for key, value in (id2label or config.get("id2label") or {}).items()}
    names = names or {str(number): f"LABEL_{number}" for number in range(labels)}
    if set(names) != set(map(str, range(labels))):
        raise InputError(
            f"{path}: id2label names the ids {', '.join(sorted(names))}, but the head has {labels} outputs",
            f"say what the ids 0 to {labels - 1} are called: id2label, on the command line --id2label",
        )
    ours = {
        "base_model_config": encoder,
        "base_model_attr_name": name,
        "task": config["task"],
        "id2label": {number: str(names[str(number)]) for number in range(labels)},
    }
    return IrtiMaskedSeq(ours, tensors)


def _encoder_config(
    config: Mapping[str, Any], base_config: Mapping[str, Any] | None, path: str
) -> dict[str, Any]:
    """Return the config of the encoder; never one that `base_model_name_or_path` leads to."""
    found = config.get("base_model_config") or base_config
    if not isinstance(found, Mapping) or not isinstance(found.get("model_type"), str):
        raise InputError(
            f"{path} has no base_model_config with a model_type, so nothing says what the encoder is",
            "give the config.json of the base model, on the command line with --base FOLDER",
        )
    return {key: value for key, value in found.items() if key not in (*DANGEROUS_KEYS, "auto_map")}


def _tensors(checkpoint: Checkpoint, name: str) -> dict[str, TensorEntry]:
    """Return the tensors that our model has; ours have the same names."""
    for tensor, entry in checkpoint.tensors.items():
        if not tensor.startswith((f"{name}.", "head.")):
            raise InputError(
                f"{entry.path}: tensor {tensor} belongs neither to the encoder ({name}.) nor to the head",
                "take the config.json that was saved with the weights",
            )
    pooler = f"{name}.{POOLER}"
    return {tensor: entry for tensor, entry in checkpoint.tensors.items() if not tensor.startswith(pooler)}


def _check_head(checkpoint: Checkpoint) -> int:
    """Check the head's shapes, and return how many labels it has."""
    shapes = {name: entry.shape for name, entry in checkpoint.tensors.items() if name.startswith("head.")}
    hidden, labels = (shapes.get(name, (0,))[0] for name in ("head.0.weight", "head.3.weight"))
    wanted = head_shapes(hidden, labels)
    for name, shape in wanted.items():
        if name not in shapes:
            raise InputError(f"{checkpoint.path}: tensor {name} is missing: half a checkpoint")
        if shapes[name] != shape:
            raise InputError(
                f"{checkpoint.path}: tensor {name} has shape {list(shapes[name])}, the rest of the head says "
                f"{list(shape)}"
            )
    if shapes.keys() != wanted.keys():
        raise InputError(
            f"{checkpoint.path}: tensor {min(shapes.keys() - wanted.keys())} is none of the head's"
        )
    return labels


def _recognises(folder: Path, config: Json) -> bool:
    return recognises(config)


def _read(folder: Path, reading: Reading) -> Model:
    """Read a folder into our format."""
    base = None if reading.base is None else peek(reading.base, "config.json")
    found = read(read_checkpoint(folder, reading.allow_pickle), base, reading.names)
    hidden = for_config(found.config["base_model_config"]).hidden
    shapes = head_shapes(hidden, len(found.config["id2label"]))
    pick(found.tensors, {name: name for name in shapes}, shapes, folder)
    says = f"irti_custom masked-sequence model, {found.config['task']}"
    return masked_seq_model(says, found.config, found.tensors, folder)


KIND = Kind("a masked-sequence model of irti_custom", _recognises, _read, becomes="masked-seq")
