"""A folder of `apply-masks` that carries its class: weights change their files, their type, or come out of a pickle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunecli.checkpoints.cut_keys import CUT_KEYS, LINEARS, check_cut
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.kinds.base import Json, Kind, Model, Reading, without
from prunecli.errors import InputError

PREFIX = "pruned_"


def is_pruned(config: Mapping[str, Any]) -> bool:
    """Say whether a `config.json` is of a folder that carries the shipped class."""
    return str(config.get("model_type", "")).startswith(PREFIX) and LINEARS in config


def _recognises(folder: Path, config: Json) -> bool:
    return is_pruned(config)


def _read(folder: Path, reading: Reading) -> Model:
    """Read config and headers; every tensor keeps its name.

    Raises:
        InputError: The config says half a cut.
    """
    checkpoint = read_checkpoint(folder, reading.allow_pickle)
    config = without(checkpoint.config, "auto_map")
    check_cut({key: config[key] for key in CUT_KEYS if key in config}, folder / "config.json")
    encoder = {**without(config, *CUT_KEYS), "model_type": str(config["model_type"]).removeprefix(PREFIX)}
    says = f"{checkpoint.architecture or 'no architecture'}, cut by prunecli"
    return Model(says, config, checkpoint.tensors, folder, encoder)


def _make(model: Model, reading: Reading) -> Model:
    """Return a pruned model as it is.

    Raises:
        InputError: It is none.
    """
    if not is_pruned(model.config):
        raise InputError(f"{model.says} is not cut", "cut it with `prunecli apply-masks`")
    return model


KIND = Kind("a pruned folder of apply-masks", _recognises, _read, _make, becomes="pruned")
