"""What to keep of documents for a query: of each sentence or whole document, the data say whether it is relevant.

A row is a query with one document or several. Which, the second column says: a text (`document`) or a list of texts
(`passages`) is read as whole documents, a list of texts (`sentences`) as the sentences of one, a list of lists
as the sentences of several. The label has the same lists, with 0 or 1 for each text; where it has one fewer than
sentences, it is for whole documents. A third column may say of documents by themselves whether they are relevant.

Where the label is what answers the query in a document, others are drawn to go with it (`prunecli.tasks.negatives`).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from prunecli.errors import InputError
from prunecli.tasks import context
from prunecli.tasks.columns import LIST, TEXT, WHOLE, Shapes
from prunecli.tasks.context import Document
from prunecli.tasks.data import targets
from prunecli.tasks.features import Features, by_length, token_rows
from prunecli.tasks.kinds.base import Kind, Reader
from prunecli.tasks.negatives import with_others

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import EvalPrediction, PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData

QUERIES, SENTENCES = ("query", "question"), "sentences"
WHOLE_DOCUMENTS = ("passages", "documents")  # a list of these is no list of sentences
DOCUMENTS = (SENTENCES, *WHOLE_DOCUMENTS, "document", "passage")
JUDGED = ("passage_relevant", "passage_label")
ANSWERS = "answers"
KEEP = 1


def _reader(task: "Task") -> Reader:
    apart = task.columns[1] in WHOLE_DOCUMENTS

    def read(query: str, texts: Any, *labels: Any) -> list[Document] | None:
        """Return the documents that have a text; None where none has."""
        *judged, relevant = labels
        if isinstance(texts, str) and isinstance(relevant, list):
            found = [Document(query, (texts,), (True,), answers=_answers(relevant))] if relevant else []
        else:
            found = list(_documents(query, texts, relevant, judged[0] if judged else None, apart))
        documents = [document for document in found if document.text.strip()]
        return documents if query.strip() and documents else None

    return read


def _documents(query: str, texts: Any, relevant: Any, judged: Any, apart: bool) -> Iterator[Document]:
    """Yield the documents of a row.

    Args:
        query: The query.
        texts: A text, a list of texts, or a list of lists of sentences.
        relevant: As many labels, in the same lists or in the outer one.
        judged: Labels of whole documents beside those of sentences; None where there are none.
        apart: Whether texts in a list are documents.
    """
    if isinstance(texts, list) and (apart or any(isinstance(text, list) for text in texts)):
        flags = [None] * len(texts) if judged is None else judged
        for text, labels, flag in _pairs(texts, relevant, flags):
            yield from _documents(query, text or [], labels, flag, False)
        return
    if isinstance(texts, str) or not isinstance(relevant, list):
        texts, relevant = [context.joined(_texts(texts))[0]], [relevant]
    kept = [(text, _flag(flag)) for text, flag in _pairs(texts, relevant) if text and text.strip()]
    sentences, flags = zip(*kept, strict=True) if kept else ((), ())
    yield Document(query, sentences, flags, None if judged is None else _flag(judged))


def _texts(texts: Any) -> list[str]:
    return [text for text in ([texts] if isinstance(texts, str) else texts) if text]


def _pairs(texts: Any, *labels: Any) -> Iterator[tuple[Any, ...]]:
    """Yield each text with its labels.

    Raises:
        InputError: They are not as many.
    """
    for flags in labels:
        if not isinstance(flags, list) or len(texts) != len(flags):
            count = f"{len(flags)} labels" if isinstance(flags, list) else f"label {flags!r}"
            raise InputError(
                f"{len(texts)} texts, but {count}", "write one label a text, in lists as the texts'"
            )
    yield from zip(texts, *labels, strict=True)


def _answers(answers: list[Any]) -> tuple[str, ...]:
    wrong = [answer for answer in answers if not isinstance(answer, str) or not answer.strip()]
    if wrong:
        raise InputError(
            f"answer {wrong[0]!r} is no text", "write what answers the query, as a list of texts"
        )
    return tuple(answers)


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
    return list(with_others([document for row in targets(task, rows) for document in row]))


def _probabilities(outputs: Any, labels_BT: "Tensor") -> Any:
    """Return the probability that each token is kept [B, T] and, with a ranking, that a row is relevant [B]."""
    logits_BTK, *ranking = outputs if isinstance(outputs, tuple) else (outputs,)
    keep_BT = logits_BTK.softmax(-1)[..., KEEP]
    if not ranking:
        return keep_BT
    logits_BL = ranking[0]
    relevant_B = logits_BL[:, 0].sigmoid() if logits_BL.shape[1] == 1 else logits_BL.softmax(-1)[:, -1]
    return keep_BT, relevant_B


def _label_fits(held: Shapes) -> bool:
    """Say whether labels can be for texts: by how many lists in lists they are, or since they are answers."""
    *texts, label = held.values()
    if label == LIST + TEXT:
        return texts == [TEXT, TEXT] and list(held)[-1] == ANSWERS
    depth, labels = texts[1].count(LIST), label.count(LIST)
    return labels == depth or (len(texts) == 2 and 0 < labels < depth)


KIND = Kind(
    name="context-pruning",
    head="ForTokenClassification",
    around="pruning_encoder",
    columns=(
        *((query, SENTENCES, judged) for judged in JUDGED for query in QUERIES),
        *((query, document) for document in DOCUMENTS for query in QUERIES),
    ),
    shapes=(
        (TEXT, LIST + TEXT),
        (TEXT, LIST + LIST + TEXT),
        (TEXT, TEXT),
        (TEXT, LIST + TEXT, WHOLE),
        (TEXT, LIST + LIST + TEXT, LIST + WHOLE),
    ),
    label_columns=("relevant", "relevance", "label", "labels", *JUDGED, ANSWERS),
    label_shapes=(LIST + WHOLE, LIST + LIST + WHOLE, LIST + TEXT),
    label_fits=_label_fits,
    metrics=lambda labels: ("f1", "precision", "recall", "passage_accuracy", "mrr"),
    reader=_reader,
    config=lambda task: {},
    features=_features,
    usual_length=384,
    windows=True,
)
