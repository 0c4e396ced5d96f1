"""One label for each word of a text that is cut into words already: entities, parts of speech.

A word's label goes to its first piece; other pieces and special tokens take no part in loss and score.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from prunecli.errors import InputError
from prunecli.tasks import entities
from prunecli.tasks.columns import LIST, TEXT, WHOLE
from prunecli.tasks.features import Columns, Features, encoded
from prunecli.tasks.kinds.base import Kind, Reader, named_labels
from prunecli.tasks.labels import IGNORED, id_of, names_in

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import EvalPrediction, PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData


def _metrics(labels: tuple[str, ...]) -> tuple[str, ...]:
    return ("f1", "accuracy") if entities.are_tags(labels) else ("accuracy",)


def _reader(task: "Task") -> Reader:
    find = id_of(task)

    def read(words: list[Any], labels: Any) -> list[int] | None:
        if not isinstance(labels, list):
            raise InputError(f"{task.label_column} {labels!r} is not a list", "write one label a word")
        if len(words) != len(labels):
            raise InputError(f"{len(words)} words, but {len(labels)} labels", "write one label a word")
        if None in words:
            raise InputError(
                f"word {words.index(None) + 1} of column {task.columns[0]!r} is empty",
                "remove it and its label",
            )
        return [find(label) for label in labels] or None

    return read


def _complete(task: "Task", labels: Sequence[Any]) -> "Task":
    lists = (row for row in labels if isinstance(row, list))
    return replace(task, labels=names_in(chain.from_iterable(lists), task.label_column))


def _features(data: "TaskData", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Features:
    from transformers import DataCollatorForTokenClassification

    glued = _glues(tokenizer)

    def encode(columns: list[list[Any]], labels: list[Any]) -> Columns:
        rows = [[words[0], *(f" {word}" for word in words[1:])] if glued else words for words in columns[0]]
        found = tokenizer(rows, is_split_into_words=True, truncation=True, max_length=max_length)
        aligned = [_on_first_pieces(found.word_ids(row), ids) for row, ids in enumerate(labels)]
        return {**found, "labels": aligned}

    names = data.task.ordered_labels

    def score(output: "EvalPrediction") -> dict[str, float]:
        return _score(np.asarray(output.predictions), np.asarray(output.label_ids), names, data.task.metrics)

    train, validation = encoded(data, encode)
    return Features(train, validation, score, DataCollatorForTokenClassification(tokenizer), _most_likely)


def _glues(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Say whether words come out as if no space stood between them, as byte-level tokenizers have it.

    Raises:
        InputError: The tokenizer does not say which word a piece is of.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} cannot say which word a piece is of", "take a fast one")
    apart = tokenizer(["a", "a"], is_split_into_words=True)["input_ids"]
    return bool(apart != tokenizer("a a")["input_ids"])


def _on_first_pieces(words: Sequence[int | None], labels: Sequence[int]) -> list[int]:
    """Return one label a piece.

    Args:
        words: The word of each piece; None for special tokens.
        labels: The label of each word.
    """
    before = [None, *words[:-1]]
    return [
        IGNORED if word is None or word == last else labels[word]
        for word, last in zip(words, before, strict=True)
    ]


def _most_likely(logits_BTL: "Tensor", labels_BT: "Tensor") -> "Tensor":
    """Keep one id a token of the logits, so that evaluating needs little memory. B batch, T tokens, L labels."""
    return logits_BTL.argmax(-1)


def _score(found: Any, labels: Any, names: tuple[str, ...], metrics: tuple[str, ...]) -> dict[str, float]:
    """Compare ids [rows, tokens] where there is a label."""
    real = labels != IGNORED
    scores = {"accuracy": float(np.mean(found[real] == labels[real]))}
    if "f1" in metrics:
        tags = [
            [[names[number] for number in ids[kept]] for ids, kept in zip(side, real, strict=True)]
            for side in (found, labels)
        ]
        scores["f1"] = entities.f1(*tags)
    return {name: scores[name] for name in metrics}


KIND = Kind(
    name="token-classification",
    head="ForTokenClassification",
    columns=(("tokens",), ("words",)),
    shapes=((LIST + TEXT,),),
    label_columns=("labels", "tags", "ner_tags", "label"),
    label_shapes=(LIST + TEXT, LIST + WHOLE),
    metrics=_metrics,
    reader=_reader,
    complete=_complete,
    config=named_labels,
    features=_features,
)
