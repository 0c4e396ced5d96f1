"""Do a checkpoint's labels fit the task's? The ids of the checkpoint win, so its head stays as it was trained."""

from dataclasses import replace
from typing import Any

from prunecli.checkpoints.folder import Checkpoint
from prunecli.errors import InputError
from prunecli.models.pruned import encoder_of
from prunecli.tasks import Task, TaskData


def fit_labels(data: TaskData, checkpoint: Checkpoint) -> TaskData:
    """Put the task's labels into the order of the checkpoint's head, where it has one and names them.

    MNLI checkpoints in particular come with every order of entailment, neutral and contradiction.

    Raises:
        InputError: The head has another number of labels.
    """
    task = data.task
    if task.kind == "question-answering" or not has_head(checkpoint, task):
        return data
    names = _label_names(checkpoint)
    wanted = 1 if task.kind == "regression" else len(task.labels)
    if len(names) != wanted:
        raise InputError(
            f"the head of {checkpoint.path} has {len(names)} labels, task {task.name} needs {wanted}",
            "take a checkpoint that was fine-tuned on this task, or the plain encoder",
        )
    by_name = {_plain(label): number for number, label in enumerate(task.labels)}
    if task.kind == "regression" or {_plain(name) for name in names} != by_name.keys():
        return data
    order = tuple(by_name[_plain(name)] for name in names)
    return replace(data, task=replace(task, order=order))


def has_head(checkpoint: Checkpoint, task: Task) -> bool:
    """Say whether the checkpoint was saved with the kind of head that the task needs."""
    return checkpoint.architecture == encoder_of(checkpoint).model_type.stem + task.head


def head_config(task: Task) -> dict[str, Any]:
    """Return what the task writes into the model's config."""
    if task.kind == "regression":
        return {"num_labels": 1, "problem_type": "regression"}
    if task.kind == "question-answering":
        return {}
    labels = dict(enumerate(task.ordered_labels))
    return {
        "id2label": labels,
        "label2id": {label: number for number, label in labels.items()},
        "problem_type": "single_label_classification",
    }


def _label_names(checkpoint: Checkpoint) -> list[str]:
    labels = checkpoint.config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    whole = isinstance(labels, dict) and all(
        str(key).isdigit() and isinstance(labels[key], str) for key in labels
    )
    if not whole:
        raise InputError(f"{checkpoint.path}: id2label in config.json is no mapping of ids to names")
    return [labels[number] for number in sorted(labels, key=int)]


def _plain(label: str) -> str:
    return "".join(character for character in label.lower() if character.isalnum())
