"""Passages of other questions as what a question does not need, for data that only say which passage answers it."""

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from prunecli.tasks.context import Document

log = logging.getLogger(__name__)

OTHERS = 4  # passages of other questions a question
LOOKED_AT = 32  # passages that are drawn to find these among
SEED = 0  # training and every evaluation of the same rows meet the same passages
ARTICLES = frozenset(("a", "an", "the"))
# Thai to Burmese, Khmer, Japanese and Chinese put no space between words: each letter is compared by itself.
UNSPACED = r"\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def with_others(documents: Sequence[Document]) -> Iterator[Document]:
    """Yield documents, the first of each question that has answers followed by some of other questions.

    These hold none of the question's answers and none of its own passages, whichever of its rows name them. Whole
    words are compared: `Saint-Denis` is in `near saint denis`, `no` is not in `north`.
    """
    random = np.random.default_rng(SEED)
    texts = list(dict.fromkeys(document.text for document in documents if document.answers))
    plain = [_plain(text) for text in texts]
    own: dict[str, set[str]] = {}
    for document in documents:
        if document.answers:
            own.setdefault(document.query, set()).update(map(_plain, (document.text, *document.answers)))
    questions, short = len(own), 0
    for document in documents:
        yield document
        if (mine := own.pop(document.query, None)) is None:
            continue
        drawn = random.choice(len(texts), min(LOOKED_AT, len(texts)), replace=False)
        others = (texts[place] for place in drawn if not any(held in plain[place] for held in mine))
        found = list(islice(others, OTHERS))
        yield from (Document(document.query, (text,), (False,)) for text in found)
        short += len(found) < OTHERS
    if short:
        log.warning("%d of %d questions get fewer than %d passages of others", short, questions, OTHERS)


def _plain(text: str) -> str:
    """Return a text's words, each with a space before and after; one space, which is in any text, where it has none."""
    words = (word for word in WORD.findall(text.lower()) if word not in ARTICLES)
    return "".join(f" {word}" for word in words) + " "
