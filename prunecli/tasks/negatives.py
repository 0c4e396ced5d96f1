"""Passages of other questions as what a question does not need, for data that only say which passage answers it."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from prunecli.tasks.context import Document
from prunecli.tasks.squad import normalise

OTHERS = 4  # passages of other questions a question
LOOKED_AT = 32  # passages that are drawn to find these among
SEED = 0  # training and every evaluation of the same rows meet the same passages


def with_others(documents: Sequence[Document]) -> Iterator[Document]:
    """Yield documents, each that has answers followed by some of other questions, which hold none of the answers.

    Letters and digits alone are compared: `Saint-Denis` is in `near saint denis`. So is `3` in `1930`, which leaves out
    more than it has to.
    """
    random = np.random.default_rng(SEED)
    texts = list(dict.fromkeys(document.text for document in documents if document.answers))
    plain = [_plain(text) for text in texts]
    for document in documents:
        yield document
        if not document.answers:
            continue
        drawn = random.choice(len(texts), min(LOOKED_AT, len(texts)), replace=False)
        own = [*filter(None, map(_plain, document.answers)), _plain(document.text)]
        others = (texts[place] for place in drawn if not any(answer in plain[place] for answer in own))
        for text in islice(others, OTHERS):
            yield Document(document.query, (text,), (False,))


def _plain(text: str) -> str:
    return normalise(text).replace(" ", "")
