"""What a kind of task is: which columns it reads, what a row's label becomes, how rows become features.

Kinds are known before torch is needed: what is heavy is imported inside the functions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from prunecli.tasks.columns import TEXT, Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData
    from prunecli.tasks.features import Features

Target = Any  # what the model is trained to say of a row; None where the row cannot be trained on
Reader = Callable[..., Target]  # takes a row's columns in the order of `Task.all_columns`


def as_it_is(task: "Task", labels: Sequence[Any]) -> "Task":
    """Return a task of one's own that needs to know nothing of its labels."""
    return task


def named_labels(task: "Task") -> dict[str, Any]:
    """Return a task's labels as a model's config has them."""
    labels = dict(enumerate(task.ordered_labels))
    return {"id2label": labels, "label2id": {label: number for number, label in labels.items()}}


def with_metrics(task: "Task") -> "Task":
    """Return a task of one's own with its kind's metrics."""
    return replace(task, metrics=task.kind.metrics(task.labels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one kind of task is read, trained and scored.

    Columns, shapes and labels say how data of one's own are recognised; `prunecli.tasks.own` compares them with a
    file's columns.

    Attributes:
        name: What `--task-kind` calls it: the file's name.
        head: The head class without its stem.
        around: The `model_type` of the models around an encoder that it is for; None for heads of encoders.
        columns: Usual names of the columns besides the label, first choice first.
        shapes: What these columns may hold.
        label_columns: Usual names of the label's column, first choice first; none where no label is needed.
        label_shapes: What a label's column holds that can mean nothing else than this kind.
        label_fits: Says whether columns, the label's last, can go with each other: by their names and what they hold.
        metrics: From label names to the metrics of data of one's own; the first is the headline.
        reader: From a task to the function that turns a row's columns into its target. That raises an
            InputError for a row that makes no sense; the caller adds file and number of the row.
        complete: Learns what a task of one's own needs to know from all training labels.
        config: What the task writes into the model's config.
        features: (data, tokenizer, max_length) -> what the Trainer needs.
        usual_length: Tokens that examples are cut to where nobody says otherwise.
        windows: Whether a row may become several examples: windows of a text that is too long for one.
    """

    name: str
    head: str
    around: str | None = None
    columns: tuple[tuple[str, ...], ...] = (("text",),)
    shapes: tuple[tuple[str, ...], ...] = ((TEXT,), (TEXT, TEXT))
    label_columns: tuple[str, ...] = ("label", "labels")
    label_shapes: tuple[str, ...]
    label_fits: Callable[[Shapes], bool] = lambda held: True
    metrics: Callable[[tuple[str, ...]], tuple[str, ...]]
    reader: Callable[["Task"], Reader]
    features: Callable[["TaskData", "PreTrainedTokenizerBase", int], "Features"]
    config: Callable[["Task"], Mapping[str, Any]]
    complete: Callable[["Task", Sequence[Any]], "Task"] = as_it_is
    usual_length: int = 128
    windows: bool = False
