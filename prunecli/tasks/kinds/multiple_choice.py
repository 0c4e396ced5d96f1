"""One choice of several that goes with a text.

The last column holds the choices. One text before it is read with each choice as a pair; of two, the second
stands before the choice, as in SWAG (a sentence, the start of the next, its endings) and RACE (article,
question, answers). A batch is [examples, choices, tokens].
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from prunecli.errors import InputError
from prunecli.tasks.columns import LIST, TEXT, WHOLE
from prunecli.tasks.features import Columns, Features, encoded
from prunecli.tasks.kinds.base import Kind, Reader
from prunecli.tasks.metrics import accuracy

if TYPE_CHECKING:
    from transformers import EvalPrediction, PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData


def _reader(task: "Task") -> Reader:
    count: list[int] = []  # choices of the first row: a batch is one block, so all rows have as many

    def read(*row: Any) -> int:
        choices, label = row[-2:]
        if len(choices) < 2 or None in choices:
            raise InputError(
                f"{task.columns[-1]} {choices!r} are no two choices or more, all of them texts",
                "correct or remove the row",
            )
        count[:] = count or [len(choices)]
        if len(choices) != count[0]:
            raise InputError(
                f"{len(choices)} choices, but {count[0]} in the first row", "give all rows as many"
            )
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(choices):
            raise InputError(
                f"label {label!r} is none of {len(choices)} choices", "number the choices of a row from 0"
            )
        return label

    return read


def _features(data: "TaskData", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Features:
    from transformers import DataCollatorForMultipleChoice

    def encode(columns: list[list[Any]], labels: list[Any]) -> Columns:
        *texts, choices = columns
        per_row = len(choices[0])
        first = [text for text in texts[0] for _ in range(per_row)]
        starts = texts[1] if len(texts) > 1 else [""] * len(choices)
        second = [
            f"{start} {choice}".strip() for start, row in zip(starts, choices, strict=True) for choice in row
        ]
        found = tokenizer(first, second, truncation=True, max_length=max_length)
        rows = {
            name: [values[at : at + per_row] for at in range(0, len(values), per_row)]
            for name, values in found.items()
        }
        return {**rows, "labels": labels}

    def score(output: "EvalPrediction") -> dict[str, float]:
        return {"accuracy": accuracy(np.asarray(output.predictions).argmax(-1), np.asarray(output.label_ids))}

    train, validation = encoded(data, encode)
    return Features(train, validation, score, DataCollatorForMultipleChoice(tokenizer))


KIND = Kind(
    name="multiple-choice",
    head="ForMultipleChoice",
    columns=(("context", "question", "choices"), ("question", "choices"), ("context", "choices")),
    shapes=((TEXT, LIST + TEXT), (TEXT, TEXT, LIST + TEXT)),
    label_shapes=(WHOLE,),
    metrics=lambda labels: ("accuracy",),
    reader=_reader,
    config=lambda task: {},
    features=_features,
)
