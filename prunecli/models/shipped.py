"""Folders whose class is ours and not transformers': which modeling file they carry, and whether it is the one.

Two sorts: pruned folders, whose file `prunecli.models.pruned` renders for their family and head; and models around a
whole encoder, whose file is one of this package as it stands. A folder is trusted only if its file and its
`auto_map` are, byte for byte, what prunecli writes.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from prunecli.checkpoints.folder import Checkpoint
from prunecli.encoders import Encoder, for_config
from prunecli.errors import InputError
from prunecli.models import pruned

INSIDE = "base_model_config"  # where models around an encoder keep its stock config


@dataclass(frozen=True, slots=True)
class Around:
    """A model around an encoder: a row of `AROUND`.

    Attributes:
        module: The modeling file, a module of this package that has `auto_map(config)`.
        stem: What its class names begin with.
    """

    module: str
    stem: str


# By model_type.
AROUND = {
    "masked_seq": Around("modeling_masked_seq", "MaskedSeq"),
    "pruning_encoder": Around("modeling_pruning_encoder", "PruningEncoder"),
}


@dataclass(frozen=True, slots=True)
class Shipped:
    """The modeling file that a folder has to carry.

    Attributes:
        file: Its name.
        text: What stands in it.
        auto_map: What config.json has to say.
    """

    file: str
    text: str
    auto_map: dict[str, str]


def is_around(config: Mapping[str, Any]) -> bool:
    """Say whether a config is of a model around an encoder."""
    return config.get("model_type") in AROUND


def shipped(checkpoint: Checkpoint) -> Shipped | None:
    """Return the modeling file that a folder has to carry; None where no class of ours is meant."""
    if pruned.is_pruned(checkpoint.config):
        encoder = pruned.encoder_of(checkpoint)
        head = pruned.head_of(checkpoint.architecture, encoder)
        return Shipped(pruned.FILE, pruned.render(encoder, head), pruned.auto_map(encoder, head))
    if not is_around(checkpoint.config):
        return None
    module = AROUND[checkpoint.config["model_type"]].module
    text = resources.files(__package__).joinpath(f"{module}.py").read_text(encoding="utf-8")
    own = importlib.import_module(f"{__package__}.{module}")
    return Shipped(f"{module}.py", text, own.auto_map(checkpoint.config))


def is_ours(checkpoint: Checkpoint) -> bool:
    """Say whether a folder runs nothing but a modeling file that is byte for byte what prunecli writes."""
    expected = shipped(checkpoint)
    if expected is None:
        return False
    file = checkpoint.path / expected.file
    same = file.is_file() and file.read_bytes() == expected.text.encode()
    return same and checkpoint.config.get("auto_map") == expected.auto_map


def encoder_of(checkpoint: Checkpoint) -> Encoder:
    """Return the family's table and the sizes of a checkpoint's encoder.

    Raises:
        UnsupportedModelError: The family has no table.
        InputError: A model around an encoder does not say which.
    """
    if not is_around(checkpoint.config):
        return pruned.encoder_of(checkpoint)
    inside = checkpoint.config.get(INSIDE)
    if not isinstance(inside, dict):
        raise InputError(f"{checkpoint.path / 'config.json'} has no {INSIDE}", "convert the source again")
    return for_config(inside)


def head_of(checkpoint: Checkpoint) -> str:
    """Return a checkpoint's class name without its stem: `ForSequenceClassification`.

    Raises:
        UnsupportedModelError: It has no head that an auto class loads.
    """
    row = AROUND.get(str(checkpoint.config.get("model_type")))
    encoder = encoder_of(checkpoint)
    architecture = checkpoint.architecture
    if row is not None and architecture is not None and architecture.startswith(row.stem):
        architecture = encoder.model_type.stem + architecture.removeprefix(row.stem)
    return pruned.head_of(architecture, encoder)
