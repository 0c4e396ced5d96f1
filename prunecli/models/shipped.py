"""Folders whose class is ours and not transformers': which modeling files they carry, and whether these are the ones.

Two sorts: pruned folders, whose file `prunecli.models.pruned` renders for their family and head; and models around an
encoder, whose files are some of this package as they stand. A folder is trusted only if its files and its
`auto_map` are, byte for byte, what prunecli writes.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from prunecli.checkpoints.cut_keys import CUT_KEYS
from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.kinds.pruning_encoder import PRE_FINAL_NORM, RERANKING
from prunecli.encoders import Encoder, for_config
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.masks.units import reader_of, stream_of
from prunecli.models import pruned

INSIDE = "base_model_config"  # where models around an encoder keep its stock config
CUT = "base_model_cut"  # and what was cut out of it


@dataclass(frozen=True, slots=True)
class Around:
    """A model around an encoder: a row of `AROUND`.

    Attributes:
        module: The modeling file, a module of this package that has `auto_map(config)` and `FILES`.
        stem: What its class names begin with.
        reader: The linear of its own head that reads the encoder's hidden states.
    """

    module: str
    stem: str
    reader: str


# By model_type.
AROUND = {
    "masked_seq": Around("modeling_masked_seq", "MaskedSeq", "head.0"),
    "pruning_encoder": Around("modeling_pruning_encoder", "PruningEncoder", "pruning_head.classifier"),
}


@dataclass(frozen=True, slots=True)
class Shipped:
    """The modeling files that a folder has to carry.

    Attributes:
        files: What stands in each, by its name; the first has the classes.
        auto_map: What config.json has to say.
    """

    files: dict[str, str]
    auto_map: dict[str, str]

    @property
    def names(self) -> str:
        """Return the names of the files, for messages."""
        return ", ".join(self.files)


def is_around(config: Mapping[str, Any]) -> bool:
    """Say whether a config is of a model around an encoder."""
    return config.get("model_type") in AROUND


def is_cut(config: Mapping[str, Any]) -> bool:
    """Say whether a config says of an encoder, its own or the one inside, which units are left."""
    return pruned.is_pruned(config) or (is_around(config) and config.get(CUT) is not None)


def shipped(checkpoint: Checkpoint) -> Shipped | None:
    """Return the modeling files that a folder has to carry; None where no class of ours is meant."""
    if pruned.is_pruned(checkpoint.config):
        encoder = pruned.encoder_of(checkpoint)
        head = pruned.head_of(checkpoint.architecture, encoder)
        return Shipped({pruned.FILE: pruned.render(encoder, head)}, pruned.auto_map(encoder, head))
    if not is_around(checkpoint.config):
        return None
    own = importlib.import_module(f"{__package__}.{AROUND[checkpoint.config['model_type']].module}")
    package = resources.files(__package__)
    texts = {name: package.joinpath(name).read_text(encoding="utf-8") for name in own.FILES}
    return Shipped(texts, own.auto_map(checkpoint.config))


def is_ours(checkpoint: Checkpoint) -> bool:
    """Say whether a folder runs nothing but modeling files that are byte for byte what prunecli writes."""
    expected = shipped(checkpoint)
    if expected is None or checkpoint.config.get(
        "base_model_code"
    ):  # our class would run an encoder's own Python
        return False
    found = {name: checkpoint.path / name for name in expected.files}
    same = all(
        file.is_file() and file.read_bytes() == expected.files[name].encode() for name, file in found.items()
    )
    return same and checkpoint.config.get("auto_map") == expected.auto_map


def inner_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the config that has the encoder's own words: the one inside of a model around it."""
    inside: Mapping[str, Any] = config[INSIDE] if is_around(config) else config
    return inside


def cut_config(
    checkpoint: Checkpoint, encoder: Encoder, changes: Mapping[str, Any], native: bool
) -> dict[str, Any]:
    """Return the `config.json` of what is left of a checkpoint after a cut.

    Args:
        checkpoint: What is cut.
        encoder: Its table and dense sizes.
        changes: What the plan says of the cut: all of it, or where `native`, in the stock config's own words.
        native: Whether the stock class of the encoder will do.
    """
    config = checkpoint.config
    if not is_around(config):
        if native:
            return {**pruned.stock_config(config), **changes}
        return pruned.shipped_config(config, encoder, head_of(checkpoint), changes)
    cut = {key: value for key, value in changes.items() if key in CUT_KEYS}
    stock = {key: value for key, value in changes.items() if key not in CUT_KEYS}
    shown = {key: value for key, value in stock.items() if key in config}
    return {**config, **shown, INSIDE: {**config[INSIDE], **stock}, CUT: None if native else cut}


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
    encoder = for_config(inside)
    name = checkpoint.config.get("base_model_attr_name") or encoder.model_type.prefix
    return replace(encoder, model_type=replace(encoder.model_type, prefix=name))


def positions_of(checkpoint: Checkpoint) -> int:
    """Return how many tokens a checkpoint has positions for; 512 where its config does not say.

    Raises:
        UnsupportedModelError: The family has no table.
        InputError: What its config says is no number of positions.
    """
    offset = encoder_of(checkpoint).model_type.position_offset
    said = inner_config(checkpoint.config).get("max_position_embeddings")
    if said is not None and (type(said) is not int or said <= offset):
        raise InputError(
            f"{checkpoint.path}: max_position_embeddings in config.json is {said!r}, no number of positions",
            "take the config.json that was saved with the weights",
        )
    return (said or 512) - offset


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


def readers_of(config: Mapping[str, Any], architecture: str | None, encoder: Encoder) -> tuple[str, ...]:
    """Return the linears that read the last hidden state in a model, named from the whole of it.

    Args:
        config: The model's, as `config.json` has it.
        architecture: Its class.
        encoder: Its table and sizes.

    Raises:
        UnsupportedModelError: The table does not say it, or a head reads what no norm has written.
    """
    if not is_around(config):
        return (reader_of(encoder, architecture),)
    stream_of(encoder)
    if config.get("pruning_config", {}).get("hidden_state") == PRE_FINAL_NORM:
        raise UnsupportedModelError(
            f"hidden dimensions of a {architecture} whose head reads the state before the final norm cannot go",
            "take other groups: that norm decides which dimensions there are",
        )
    ranking = f"{encoder.model_type.stem}ForSequenceClassification"
    own = AROUND[config["model_type"]].reader
    return (own, reader_of(encoder, ranking)) if config.get("mode") == RERANKING else (own,)
