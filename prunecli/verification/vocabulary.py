"""A cut vocabulary against the whole one: same spelling, same rows, under other ids."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from prunecli.checkpoints.folder import Checkpoint, read_checkpoint
from prunecli.checkpoints.number_types import Bits
from prunecli.checkpoints.run_folder import model_of
from prunecli.checkpoints.tokenizer_files import TOKENIZER
from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.masks.units import ROWS
from prunecli.shrink.plan import TensorCut
from prunecli.shrink.slicing import cut_rows
from prunecli.shrink.vocabulary import Ids, numbering_of, rows_of, word_tensors
from prunecli.verification.base import Finding, found

CHECK = "vocabulary"


def ids_in(reference: Checkpoint, checkpoint: Checkpoint) -> Ids | None:
    """Return the reference's id of each token of a folder; None where the two number them alike.

    Raises:
        InputError: The folder has tokens that the reference has not.
    """
    ours, theirs = numbering_of(checkpoint), numbering_of(reference)
    if np.array_equal(ours.ids, theirs.ids):
        return None
    if ours.rows != theirs.rows or not np.isin(ours.ids, theirs.ids).all():
        raise InputError(
            f"{checkpoint.path} has tokens of a vocabulary of {ours.rows:,} that {reference.path} has not",
            "compare with the checkpoint that it was cut from",
        )
    return np.searchsorted(theirs.ids, ours.ids)


def check_vocabulary(checkpoint: Checkpoint, encoder: Encoder, against: Path | None) -> Finding:
    """Each token that is left is spelled as in the reference and has its row, bit for bit."""
    if against is None:
        return Finding(CHECK, "skip", "no reference: add --against RUN_OR_CHECKPOINT")
    reference = read_checkpoint(model_of(against))
    ids = ids_in(reference, checkpoint)
    if ids is None:
        return Finding(CHECK, "pass", f"the same tokens as {reference.path}")
    rows = _other_rows(checkpoint, encoder, reference, ids)
    wrong = next(chain(_other_spelling(checkpoint, reference, ids), rows), None)
    same = f"{len(ids):,} of {rows_of(reference):,} tokens, spelled and embedded as in the reference"
    return found(CHECK, wrong is None, wrong or same)


def _other_spelling(checkpoint: Checkpoint, reference: Checkpoint, ids: Ids) -> Iterator[str]:
    """Yield the tokens that are spelled otherwise; nothing where a folder has no tokenizer.json to compare."""
    files = [folder.path / TOKENIZER for folder in (checkpoint, reference)]
    if not all(file.is_file() for file in files):
        return
    ours, theirs = (Tokenizer.from_file(str(file)) for file in files)
    for new, old in enumerate(ids.tolist()):
        spelled, wanted = ours.id_to_token(new), theirs.id_to_token(old)
        if spelled != wanted:
            yield f"token {new} is {spelled!r}, but {wanted!r} (token {old}) in {reference.path}"


def _other_rows(checkpoint: Checkpoint, encoder: Encoder, reference: Checkpoint, ids: Ids) -> Iterator[str]:
    """Yield the tensors whose rows are not the reference's, where both are of one type and width."""
    for name in word_tensors(checkpoint, encoder):
        ours, theirs = checkpoint.tensors[name], reference.tensors.get(name)
        if theirs is None:
            yield f"{reference.path} has no tensor {name}"
        elif (ours.dtype, ours.shape[1:]) == (theirs.dtype, theirs.shape[1:]):
            same = _digest(cut_rows(TensorCut(ours))) == _digest(cut_rows(TensorCut(theirs, {ROWS: ids})))
            if not same:
                yield f"rows of {name} are not those of {reference.path}"


def _digest(blocks: Iterable[Bits]) -> bytes:
    """Hash a tensor as it is read: large ones are never in memory as a whole."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block.reshape(-1).view(np.uint8).data)
    return digest.digest()
