"""What to keep of documents for a query: of each sentence or whole document, the data say whether it is relevant.

A row is a query with one document or several. Which, the second column says: a text (`document`) or a list of texts
(`passages`) is read as whole documents, a list of texts (`sentences`) as the sentences of one, a list of lists
as the sentences of several. The label has the same lists, with 0 or 1 for each text.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from prunecli.errors import InputError
from prunecli.tasks import context
from prunecli.tasks.columns import LIST, TEXT, WHOLE
from prunecli.tasks.context import Document
from prunecli.tasks.data import targets
from prunecli.tasks.features import Features, by_length, token_rows
from prunecli.tasks.kinds.base import Kind, Reader

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import EvalPrediction, PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData

QUERIES, SENTENCES = ("query", "question"), "sentences"
WHOLE_DOCUMENTS = ("passages", "documents")  # a list of these is no list of sentences
DOCUMENTS = (SENTENCES, *WHOLE_DOCUMENTS, "document", "passage")
KEEP = 1


def _reader(task: "Task") -> Reader:
    apart = task.columns[1] in WHOLE_DOCUMENTS

    def read(query: str, texts: Any, relevant: Any) -> list[Document] | None:
        """Return the documents that have a text; None where none has."""
        pairs = [(text, flag) for text, flag in _documents(texts, relevant, apart) if text]
        documents = [Document(query, tuple(text), tuple(flag)) for text, flag in pairs]
        return documents if query.strip() and documents else None

    return read


def _documents(texts: Any, relevant: Any, apart: bool) -> Iterator[tuple[list[str], list[bool]]]:
    """Yield the sentences of each document, and whether they are relevant; empty sentences are left out."""
    if isinstance(texts, str):
        texts, relevant, apart = [texts], [relevant], True
    if not isinstance(relevant, list) or len(texts) != len(relevant):
        count = f"{len(relevant)} labels" if isinstance(relevant, list) else f"label {relevant!r}"
        raise InputError(f"{len(texts)} texts, but {count}", "write one label a text, in lists as the texts'")
    several = any(isinstance(text, list) for text in texts)
    if several:
        for inner, flags in zip(texts, relevant, strict=True):
            yield from _documents(inner or [], flags, False)
        return
    kept = [(text, _flag(flag)) for text, flag in zip(texts, relevant, strict=True) if text and text.strip()]
    parts = [[pair] for pair in kept] if apart else [kept]
    for part in parts:
        yield [text for text, _ in part], [flag for _, flag in part]


def _flag(value: Any) -> bool:
    if value not in (0, 1):
        raise InputError(f"label {value!r} is neither 0 nor 1", "say of each text whether it is relevant")
    return bool(value)


def _features(data: "TaskData", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Features:
    from transformers import DataCollatorForTokenClassification

    train, validation = _all_documents(data.task, data.train), _all_documents(data.task, data.validation)
    asides = ["document", "sentence"]
    both = by_length(token_rows(context.windows(tokenizer, validation, max_length)))
    aside: Mapping[str, Any] = {name: both[name][:] for name in asides}

    def score(output: "EvalPrediction") -> dict[str, float]:
        found: Any = output.predictions
        keep, relevance = found if isinstance(found, tuple) else (found, None)
        return context.score(
            np.asarray(keep), None if relevance is None else np.asarray(relevance), aside, validation
        )

    return Features(
        token_rows(context.windows(tokenizer, train, max_length)).remove_columns(asides),
        both.remove_columns(asides),
        score,
        DataCollatorForTokenClassification(tokenizer),
        _probabilities,
        every_output=True,
    )


def _all_documents(task: "Task", rows: "Dataset") -> list[Document]:
    return [document for row in targets(task, rows) for document in row]


def _probabilities(outputs: Any, labels_BT: "Tensor") -> Any:
    """Return the probability that each token is kept [B, T] and, with a ranking, that a row is relevant [B]."""
    logits_BTK, *ranking = outputs if isinstance(outputs, tuple) else (outputs,)
    keep_BT = logits_BTK.softmax(-1)[..., KEEP]
    if not ranking:
        return keep_BT
    logits_BL = ranking[0]
    relevant_B = logits_BL[:, 0].sigmoid() if logits_BL.shape[1] == 1 else logits_BL.softmax(-1)[:, -1]
    return keep_BT, relevant_B


KIND = Kind(
    name="context-pruning",
    head="ForTokenClassification",
    around="pruning_encoder",
    columns=tuple((query, document) for document in DOCUMENTS for query in QUERIES),
    shapes=((TEXT, LIST + TEXT), (TEXT, LIST + LIST + TEXT), (TEXT, TEXT)),
    label_columns=("relevant", "relevance", "label", "labels"),
    label_shapes=(LIST + WHOLE, LIST + LIST + WHOLE),
    label_nests=True,
    metrics=lambda labels: ("f1", "precision", "recall", "passage_accuracy", "mrr"),
    reader=_reader,
    config=lambda task: {},
    features=_features,
    usual_length=384,
)
