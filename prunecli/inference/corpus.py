"""Which tokens a corpus uses, and what therefore stays of a checkpoint's vocabulary."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.tokenizer_vocabulary import kept_ids, renumbered
from prunecli.config.shared import parse_fields
from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.inference.formats import read_records
from prunecli.inference.text_fields import with_texts
from prunecli.models.loading import load_tokenizer
from prunecli.shrink.vocabulary import Numbering, Vocabulary, new_ids, numbering_of, rows_that_stay

log = logging.getLogger(__name__)

BATCH = 1000  # texts that the tokenizer gets at once


def vocabulary_for(
    checkpoint: Checkpoint, encoder: Encoder, corpus: Sequence[Path], fields: str | None
) -> Vocabulary:
    """Work out what stays where a model shall read texts like those of a corpus.

    Args:
        checkpoint: The source, with its tokenizer.
        encoder: Its table.
        corpus: Files as `predict` reads them.
        fields: Fields with the texts, as A or A,B; by known names where None.

    Raises:
        InputError: The corpus holds no text, the tokenizer cannot be rewritten, or nothing would go.
    """
    before = numbering_of(checkpoint)
    tokenizer = _backend(checkpoint)
    document = json.loads(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    used = used_ids(tokenizer, texts_of(corpus, fields))
    if not used:
        raise InputError(
            f"{', '.join(map(str, corpus))} holds no text", "name a file with the texts that the model reads"
        )
    kept = rows_that_stay(checkpoint, encoder, kept_ids(document, used))
    log.info(
        "The corpus uses %s of %s tokens; %s stay", *(f"{len(ids):,}" for ids in (used, before.ids, kept))
    )
    numbering = Numbering(before.ids[kept], before.rows)
    return Vocabulary(kept, numbering, renumbered(document, new_ids(kept)))


def texts_of(corpus: Sequence[Path], fields: str | None) -> Iterator[str]:
    """Yield every text of a corpus; the halves of a pair one after the other."""
    for path in corpus:
        for texts in with_texts(read_records(str(path)), parse_fields(fields)):
            yield from texts


def used_ids(tokenizer: Tokenizer, texts: Iterable[str]) -> set[int]:
    """Return the ids that texts become, without special tokens around them."""
    found: set[int] = set()
    texts = iter(texts)
    while batch := list(islice(texts, BATCH)):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            found.update(encoding.ids)
    return found


def _backend(checkpoint: Checkpoint) -> Tokenizer:
    """Return a checkpoint's tokenizer as transformers sets it up.

    Raises:
        InputError: It is one that runs in Python, which no tokenizer.json describes.
    """
    tokenizer = getattr(load_tokenizer(checkpoint), "backend_tokenizer", None)
    if not isinstance(tokenizer, Tokenizer):
        raise InputError(
            f"{checkpoint.path}: its tokenizer has no tokenizer.json, so its vocabulary cannot be rewritten",
            "leave out --prune-vocab, or convert it to a fast tokenizer first",
        )
    return tokenizer
