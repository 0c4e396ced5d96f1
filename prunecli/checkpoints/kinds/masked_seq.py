"""Our own masked-sequence folders: an encoder with a head that classifies several positions of a sequence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.kinds.base import Json, Kind, Model, Reading, width_of, without
from prunecli.checkpoints.kinds.pruning_encoder import OUTER
from prunecli.checkpoints.safetensors_file import TensorEntry
from prunecli.errors import InputError

NAME, MODEL = "masked_seq", "MaskedSeqModel"


def masked_seq_model(
    says: str, entries: Mapping[str, Any], tensors: Mapping[str, TensorEntry], folder: Path
) -> Model:
    """Return a model in our format.

    Args:
        says: What was found.
        entries: `base_model_config`, `base_model_attr_name`, `task`, `id2label`.
        tensors: By their new names.
        folder: The folder with the tokenizer.
    """
    unwanted = (
        "auto_map",
        "architectures",
        "dtype",
        "torch_dtype",
        "transformers_version",
        "id2label",
        "label2id",
    )
    encoder = without(entries["base_model_config"], *unwanted)
    config = {
        "model_type": NAME,
        "architectures": [MODEL],
        **entries,
        "label2id": {name: int(number) for number, name in entries["id2label"].items()},
        **{key: encoder[key] for key in OUTER if key in encoder},
        "base_model_config": encoder,
        "dtype": width_of(tensors.values()),
    }
    return Model(says, config, tensors, folder, encoder)


def _recognises(folder: Path, config: Json) -> bool:
    return config.get("model_type") == NAME and "base_model_config" in config


def _read(folder: Path, reading: Reading) -> Model:
    """Read a folder of ours: its tensors have their names already."""
    checkpoint = read_checkpoint(folder)
    config = without(checkpoint.config, "auto_map", "transformers_version")
    base = config.get("base_model_config")
    if not isinstance(base, dict):
        raise InputError(f"{folder / 'config.json'} lacks base_model_config", "save the model again")
    return Model(f"masked-sequence model, {config.get('task')}", config, checkpoint.tensors, folder, base)


def _make(model: Model, reading: Reading) -> Model:
    """Return the model itself.

    Raises:
        InputError: It is another.
    """
    if model.config["model_type"] != NAME:
        raise InputError(
            f"{model.says} has no head for positions",
            "put a new one on it with prunecli.AutoModelForMaskedSeqModeling.from_pretrained(SOURCE, num_labels=...)",
        )
    return model


KIND = Kind("a masked-sequence model of prunecli", _recognises, _read, _make, becomes="masked-seq")
