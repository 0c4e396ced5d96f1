"""Which words stay: rows of the word embeddings, and of what predicts words.

Kept rows stay in their order. `kept_tokens.safetensors` in the cut folder has the old id of each, in the numbering
of the dense model, so that a folder can be compared with its source and cut again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prunecli.checkpoints.folder import KEPT_TOKENS, Checkpoint, inside
from prunecli.checkpoints.number_types import as_bits
from prunecli.checkpoints.safetensors_file import Declared, read_header, read_metadata, serialize
from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.models.shipped import inner_config

Ids = npt.NDArray[np.int64]

# What a head that predicts words calls the last linear, or the bias that it adds to it.
DECODER = re.compile(r"(^|\.)(decoder|predictions|lm_head|generator_lm_head|vocab_projector)\.(weight|bias)$")
TENSOR, ROWS = "ids", "vocab_size"


@dataclass(frozen=True, slots=True)
class Numbering:
    """Which token each row of a checkpoint is.

    Attributes:
        ids: The id of each row in the dense model, ascending.
        rows: Rows of the dense model.
    """

    ids: Ids
    rows: int

    def write(self, folder: Path) -> None:
        """Write `kept_tokens.safetensors`."""
        declared = [Declared(TENSOR, "I64", self.ids.shape)]
        chunks = serialize(declared, [self.ids.astype("<i8").tobytes()], {ROWS: str(self.rows)})
        (folder / KEPT_TOKENS).write_bytes(b"".join(chunks))


def numbering_of(checkpoint: Checkpoint) -> Numbering:
    """Return which tokens a checkpoint's rows are; one that never lost any numbers itself.

    Raises:
        InputError: `kept_tokens.safetensors` is broken, or of another checkpoint.
    """
    rows = rows_of(checkpoint)
    if not (checkpoint.path / KEPT_TOKENS).is_file():
        return Numbering(np.arange(rows), rows)
    path = inside(checkpoint.path, KEPT_TOKENS)
    entry = read_header(path).get(TENSOR)
    dense = read_metadata(path).get(ROWS, "")
    if entry is not None and entry.dtype == "I64" and entry.shape == (rows,) and dense.isdecimal():
        ids = as_bits(entry.read(), "I64", entry.shape).view(np.int64)
        if (np.diff(ids) > 0).all() and ids[0] >= 0 and ids[-1] < int(dense):
            return Numbering(ids, int(dense))
    raise InputError(
        f"{path} does not say which {rows:,} tokens are left", "cut the vocabulary of the source again"
    )


def rows_of(checkpoint: Checkpoint) -> int:
    """Return how many words a model knows, by its config.

    Raises:
        InputError: `vocab_size` is missing or no positive whole number.
    """
    rows = checkpoint.config.get("vocab_size")
    if not isinstance(rows, int) or isinstance(rows, bool) or rows <= 0:
        raise InputError(
            f"{checkpoint.path}: vocab_size in config.json is {rows!r}, not a positive whole number"
        )
    return rows


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What stays of a vocabulary.

    Attributes:
        kept: Rows of the source that stay, ascending.
        numbering: The same rows, as the cut folder will note them.
        tokenizer: What `tokenizer.json` becomes.
    """

    kept: Ids
    numbering: Numbering
    tokenizer: dict[str, Any]

    @property
    def new_ids(self) -> dict[int, int]:
        """Return the new id of each kept row."""
        return new_ids(self.kept)

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return what changes in `config.json`: the size, and the ids of special tokens."""
        return {"vocab_size": len(self.kept), **renumbered_ids(config, self.new_ids)}


def new_ids(kept: Ids) -> dict[int, int]:
    """Return the new id of each kept row."""
    return {number: row for row, number in enumerate(kept.tolist())}


def config_ids(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a config that name tokens: `pad_token_id` and its like, also lists of ids."""
    return {key: value for key, value in config.items() if key.endswith("_token_id") and value is not None}


def renumbered_ids(config: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """Return the entries of a config that name tokens, by their new ids; ids of no row stay."""
    return {
        key: [new.get(number, number) for number in value]
        if isinstance(value, list)
        else new.get(value, value)
        for key, value in config_ids(config).items()
    }


def rows_that_stay(checkpoint: Checkpoint, encoder: Encoder, tokens: set[int]) -> Ids:
    """Return the rows of some tokens, of those that config.json names, and of those that may not move.

    Models that count positions from the padding id need it where it is, and so every row up to it.

    Args:
        checkpoint: The source.
        encoder: Its table.
        tokens: Ids that the tokenizer has to keep.

    Raises:
        InputError: A token has no row, or all rows stay.
    """
    rows = rows_of(checkpoint)
    if tokens and max(tokens) >= rows:
        raise InputError(
            f"{checkpoint.path}: the tokenizer has an id {max(tokens)}, the model has {rows:,} rows",
            "take the tokenizer that was saved with the weights",
        )
    named = np.hstack(
        [np.array(ids).ravel() for ids in [[], *config_ids(inner_config(checkpoint.config)).values()]]
    )
    offset, padding = encoder.model_type.position_offset, checkpoint.config.get("pad_token_id") or 0
    first = range(max(offset, padding + 1)) if offset else ()
    kept = np.union1d([*tokens, *first], named).astype(np.int64)
    kept = kept[(kept >= 0) & (kept < rows)]
    if len(kept) == rows:
        raise InputError(
            f"all {rows:,} tokens of {checkpoint.path} are used: nothing of its vocabulary goes",
            "leave out --prune-vocab, or take fewer texts: those that the model will read",
        )
    return kept


def word_tensors(checkpoint: Checkpoint, encoder: Encoder) -> list[str]:
    """Name the tensors with a row a word: the embeddings, and the weight and bias of what predicts words.

    Raises:
        InputError: The embeddings are missing, or have other rows than `config.json` says.
    """
    rows = rows_of(checkpoint)
    bare = f"{encoder.family.words}.weight"
    names = (f"{encoder.model_type.prefix}.{bare}", bare)
    words = next((name for name in names if name in checkpoint.tensors), None)
    if words is None:
        raise InputError(
            f"{checkpoint.path}: no tensor {names[0]}, which the table {encoder.table} expects",
            "take the config.json that was saved with the weights",
        )
    if checkpoint.tensors[words].shape[:1] != (rows,):
        raise InputError(
            f"{checkpoint.path}: tensor {words} has {checkpoint.tensors[words].shape[0]:,} rows, "
            f"config.json says {rows:,}",
            "take the config.json that was saved with the weights",
        )
    decoders = (
        name
        for name, entry in checkpoint.tensors.items()
        if DECODER.search(name) and entry.shape[:1] == (rows,)
    )
    return [words, *decoders]
