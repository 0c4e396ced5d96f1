"""Labels for some positions of a text: tokens by their number, or by the characters where they start.

The second column says where: `mask_indices` holds numbers of tokens, special ones counted; `spans` holds pairs of
characters, [first, one past the last], of which the first token counts. The label has an entry a position: one label
(multiclass), or a list of names, of ids, or of zeros and ones (multilabel).

Shape suffixes: B batch, M positions, L labels.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from prunecli.errors import InputError
from prunecli.tasks.columns import LIST, NUMBER, TEXT, WHOLE
from prunecli.tasks.features import Collate, Columns, Features, encoded
from prunecli.tasks.kinds.base import Kind, Reader, named_labels
from prunecli.tasks.kinds.multi_label import are_vectors
from prunecli.tasks.labels import IGNORED, id_of, names_in
from prunecli.tasks.metrics import accuracy, f1_micro

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import BatchEncoding, EvalPrediction, PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData


Label = Any  # of a position: an id, or a vector of zeros and ones


def _complete(task: "Task", labels: Sequence[Any]) -> "Task":
    single = list(chain.from_iterable(row for row in labels if isinstance(row, list)))
    if not any(isinstance(label, list) for label in single):
        return replace(task, labels=names_in(single, task.label_column))
    if are_vectors(single):
        names = tuple(str(number) for number in range(len(single[0])))
        return replace(task, labels=names, vectors=True, several=True)
    inner = chain.from_iterable(label for label in single if isinstance(label, list))
    return replace(task, labels=names_in(inner, task.label_column), several=True)


def _reader(task: "Task") -> Reader:
    find = id_of(task)

    def one(label: Any) -> Label:
        """Return the id of a position's label, or the vector of its labels."""
        if not task.several:
            return find(label)
        if not isinstance(label, list):
            raise InputError(f"label {label!r} is not a list", "write [] where no label holds")
        if task.vectors:
            if len(label) != len(task.labels) or not all(value in (0, 1) for value in label):
                raise InputError(
                    f"{label} is not a vector of {len(task.labels)} zeros and ones",
                    "give all positions as many",
                )
            return [float(value) for value in label]
        ids = {find(name) for name in label}
        return [float(number in ids) for number in range(len(task.labels))]

    def read(text: str, places: list[Any], labels: Any) -> list[Label] | None:
        if not isinstance(labels, list) or len(labels) != len(places):
            count = len(labels) if isinstance(labels, list) else repr(labels)
            raise InputError(f"{len(places)} positions, but labels {count}", "write one label a position")
        wrong = next((place for place in places if not _is_place(place, len(text))), None)
        if wrong is not None:
            raise InputError(
                f"position {wrong!r} is no token's number, and no [start, stop] in {len(text)} characters",
                f"correct column {task.columns[1]!r}",
            )
        return [one(label) for label in labels] or None

    return read


def _is_place(place: Any, characters: int) -> bool:
    if isinstance(place, list):
        return len(place) == 2 and None not in place and 0 <= place[0] < place[1] <= characters
    return isinstance(place, int) and place >= 0


def _config(task: "Task") -> dict[str, Any]:
    return {**named_labels(task), "task": "multilabel" if task.several else "multiclass"}


def _features(data: "TaskData", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Features:
    nothing = [float(IGNORED)] * len(data.task.labels) if data.task.several else IGNORED

    def encode(columns: list[list[Any]], labels: list[Any]) -> Columns:
        texts, places = columns
        found = tokenizer(texts, truncation=True, max_length=max_length)
        rows = [_in_reach(found, row, *pair) for row, pair in enumerate(zip(places, labels, strict=True))]
        indices = [[token for token, _ in row] or [0] for row in rows]
        kept = [[label for _, label in row] or [nothing] for row in rows]
        return {**found, "mask_indices": indices, "labels": kept}

    def score(output: "EvalPrediction") -> dict[str, float]:
        return _score(np.asarray(output.predictions), np.asarray(output.label_ids))

    train, validation = encoded(data, encode)
    return Features(train, validation, score, _collate(tokenizer, nothing), _decided(data.task))


def _in_reach(
    found: "BatchEncoding", row: int, places: list[Any], labels: list[Label]
) -> list[tuple[int, Label]]:
    """Return token and label of each position that was not cut off."""
    length = len(found["input_ids"][row])
    tokens = [
        found.char_to_token(row, place[0]) if isinstance(place, list) else place if place < length else None
        for place in places
    ]
    return [(token, label) for token, label in zip(tokens, labels, strict=True) if token is not None]


def _collate(tokenizer: "PreTrainedTokenizerBase", nothing: Label) -> Collate:
    """Pad texts, and positions with the first token, which counts for nothing."""
    import torch
    from transformers import DataCollatorWithPadding

    pad = DataCollatorWithPadding(tokenizer)

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        ours = ("mask_indices", "labels")
        batch: dict[str, Any] = pad(
            [{name: value for name, value in row.items() if name not in ours} for row in rows]
        )
        most = max(len(row["labels"]) for row in rows)
        for name, fill in zip(ours, (0, nothing), strict=True):
            filled = [list(row[name]) + [fill] * (most - len(row[name])) for row in rows]
            batch[name] = torch.tensor(filled)
        return batch

    return collate


def _decided(task: "Task") -> Any:
    """Return the function that keeps an id [B, M], or zeros and ones [B, M, L], of the logits."""

    def decide(logits_BML: "Tensor", labels: "Tensor") -> "Tensor":
        return (logits_BML > 0).long() if task.several else logits_BML.argmax(-1)

    return decide


def _score(found: Any, labels: Any) -> dict[str, float]:
    """Compare where there is a label: ids [rows, positions], or zeros and ones [rows, positions, labels]."""
    if labels.ndim == 3:
        real = labels[..., 0] != IGNORED
        right = (found[real] == labels[real]).all(-1)
        return {"f1_micro": f1_micro(found[real], labels[real]), "accuracy": float(np.mean(right))}
    real = labels != IGNORED
    share = accuracy(
        found[real], labels[real]
    )  # of one label a position, the F1 of all decisions is the same
    return {"f1_micro": share, "accuracy": share}


KIND = Kind(
    name="masked-seq",
    head="Model",
    around="masked_seq",
    columns=(("text", "mask_indices"), ("text", "spans")),
    shapes=((TEXT, LIST + WHOLE), (TEXT, LIST + LIST + WHOLE)),
    label_columns=("labels", "label"),
    label_shapes=(LIST + TEXT, LIST + WHOLE, LIST + LIST + TEXT, LIST + LIST + WHOLE, LIST + LIST + NUMBER),
    metrics=lambda labels: ("f1_micro", "accuracy"),
    reader=_reader,
    complete=_complete,
    config=_config,
    features=_features,
)
