"""A span of a context that answers a question, in the columns of SQuAD."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prunecli.errors import InputError
from prunecli.tasks import squad
from prunecli.tasks.columns import FIELDS, TEXT, values_of
from prunecli.tasks.features import Features, by_length, token_rows
from prunecli.tasks.kinds.base import Kind, Reader

if TYPE_CHECKING:
    from transformers import EvalPrediction, PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData


def _reader(task: "Task") -> Reader:
    def read(question: str, context: str, answers: Any) -> Any:
        """Return the answers: which tokens they are, the windows say."""
        whole = isinstance(answers, dict) and all(
            isinstance(answers.get(name), list) for name in ("text", "answer_start")
        )
        if not whole or len(answers["text"]) != len(answers["answer_start"]):
            raise InputError(
                f"{task.label_column} {answers!r} are no answers",
                'write {"text": ["..."], "answer_start": [12]}, with empty lists where there is none',
            )
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            if text is None or start is None or not 0 <= start < start + len(text) <= len(context):
                raise InputError(
                    f"answer {text!r} at character {start} lies outside of the context",
                    "answer_start counts the context's characters from 0",
                )
        return answers

    return read


def _complete(task: "Task", labels: Sequence[Any]) -> "Task":
    return replace(task, unanswerable=any(not (answers or {}).get("text") for answers in labels))


def _features(data: "TaskData", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Features:
    from transformers import DataCollatorWithPadding

    def columns(rows: Any) -> dict[str, list[Any]]:
        names = ("question", "context", "answers")
        return {
            name: values_of(rows, column) for name, column in zip(names, data.task.all_columns, strict=True)
        }

    train = token_rows(squad.windows(tokenizer, columns(data.train), max_length, labelled=True))
    rows = columns(data.validation)
    plain = squad.windows(tokenizer, rows, max_length, labelled=False)
    labelled = squad.windows(tokenizer, rows, max_length, labelled=True)  # so that a loss is reported as well
    both = by_length(token_rows({**labelled, "row": plain["row"], "context_spans": plain["context_spans"]}))
    aside = {"row": both["row"], "context_spans": both["context_spans"]}

    def score(output: "EvalPrediction") -> dict[str, float]:
        starts, ends = tuple(output.predictions)
        answers = squad.best_answers(list(starts), list(ends), aside, rows["context"], data.task.unanswerable)
        return squad.score(answers, rows["answers"])

    validation = both.remove_columns(["row", "context_spans"])
    return Features(train, validation, score, DataCollatorWithPadding(tokenizer))


KIND = Kind(
    name="question-answering",
    head="ForQuestionAnswering",
    columns=(("question", "context"),),
    shapes=((TEXT, TEXT),),
    label_columns=("answers",),
    label_shapes=(FIELDS,),
    metrics=lambda labels: ("f1", "exact_match"),
    reader=_reader,
    complete=_complete,
    config=lambda task: {"num_labels": 2},  # where a span starts and where it ends
    features=_features,
    usual_length=384,
    windows=True,
)
