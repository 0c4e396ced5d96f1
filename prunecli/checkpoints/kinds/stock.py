"""A checkpoint of a stock class: weights change their files, their type, or come out of a pickle."""

from pathlib import Path

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.kinds.base import Json, Kind, Model, Reading, without
from prunecli.encoders import for_config, supported_model_types
from prunecli.errors import InputError

# transformers 4 saved numbers from 0 on as a tensor; nothing reads it.
OBSOLETE = "embeddings.position_ids"


def _recognises(folder: Path, config: Json) -> bool:
    return str(config.get("model_type")) in supported_model_types()


def _read(folder: Path, reading: Reading) -> Model:
    """Read config and headers; every tensor keeps its name."""
    checkpoint = read_checkpoint(folder, reading.allow_pickle)
    for_config(checkpoint.config)
    config = without(checkpoint.config, "auto_map")
    tensors = {name: entry for name, entry in checkpoint.tensors.items() if not name.endswith(OBSOLETE)}
    left_out = len(checkpoint.tensors) - len(tensors)
    notes = (f"{OBSOLETE} is left out: nothing reads it.",) if left_out else ()
    says = f"{checkpoint.architecture or 'no architecture'}, {config['model_type']}"
    return Model(says, config, tensors, folder, config, notes=notes)


def _make(model: Model, reading: Reading) -> Model:
    """Return a stock model as it is; heads that its config notes as removed are the writer's to say anew.

    Raises:
        InputError: It is none.
    """
    if "base_model_config" in model.config:
        raise InputError(
            "this model has more than a stock class", "write its stock part with --to ranking-model"
        )
    return model


KIND = Kind("a checkpoint of a stock class", _recognises, _read, _make)
