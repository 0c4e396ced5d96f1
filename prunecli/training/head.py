"""Do a checkpoint's labels fit the task's? The ids of the checkpoint win, so its head stays as it was trained."""

import logging
from collections.abc import Callable, Collection
from dataclasses import replace

from prunecli.checkpoints.folder import Checkpoint
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.tasks import Task, TaskData
from prunecli.tasks.kinds.base import with_metrics
from prunecli.tasks.labels import SHOWN, are_numbers

log = logging.getLogger(__name__)


def fit_labels(data: TaskData, checkpoint: Checkpoint) -> TaskData:
    """Put the task's labels into the order of the checkpoint's head, where it has one and names them.

    MNLI checkpoints in particular come with every order of entailment, neutral and contradiction. Data of one's
    own may lack some of the head's labels, or number them: the head's names are taken.

    Raises:
        InputError: The head has another number of labels, or is for one label a position and the data for several.
        UnsupportedModelError: The task is for models around an encoder, and this is none.
    """
    task = fit_task(data.task, checkpoint)
    return data if task is data.task else replace(data, task=task)


def fit_task(task: Task, checkpoint: Checkpoint) -> Task:
    """Do what `fit_labels` does to a task without its rows."""
    _check_model(checkpoint, task)
    config = task.kind.config(task)
    wanted = config.get("num_labels", len(config.get("id2label", ())))
    if not wanted or not has_head(checkpoint, task):
        return task
    names = _label_names(checkpoint)
    if task.is_own and task.labels:
        task = _in_the_heads_words(task, names)
        wanted = len(task.labels)
    if len(names) != wanted:
        raise InputError(
            f"the head of {checkpoint.path} has {len(names)} labels, task {task.name} needs {wanted}",
            "add --task-kind regression, if the labels are scores"
            if len(names) == 1
            else "take a checkpoint that was fine-tuned on this task, or the plain encoder, which gets a new head: "
            f'AutoModel.from_pretrained("{checkpoint.path}").save_pretrained("encoder"), tokenizer files beside it',
        )
    alike = _spelling(names, task.labels)
    by_name = {alike(label): number for number, label in enumerate(task.labels)}
    if not task.is_own and _says_otherwise(names, task.labels):
        log.warning(
            "the head of %s says %s, task %s says %s: was it fine-tuned on this task? Ids are taken as they are",
            checkpoint.path, ", ".join(names), task.name, ", ".join(task.labels),
        )  # fmt: skip
    if not task.is_own and {alike(name) for name in names} == by_name.keys():
        task = replace(task, order=tuple(by_name[alike(name)] for name in names))
    return task


def _says_otherwise(names: Collection[str], labels: Collection[str]) -> bool:
    """Say whether a head names its labels, and none of them as the task does."""
    plain = {_plain(name) for name in names}
    named = not any(name.startswith("label") or name.isdecimal() for name in plain)
    return named and bool(labels) and not plain & {_plain(label) for label in labels}


def has_head(checkpoint: Checkpoint, task: Task) -> bool:
    """Say whether the checkpoint was saved with the kind of head that the task needs."""
    if task.kind.around is not None:
        return checkpoint.config.get("model_type") == task.kind.around
    return (checkpoint.architecture or "").endswith(task.kind.head)


def _check_model(checkpoint: Checkpoint, task: Task) -> None:
    """Refuse another model than the task is for."""
    around, config = task.kind.around, task.kind.config(task)
    if around is not None and checkpoint.config.get("model_type") != around:
        raise UnsupportedModelError(
            f"{checkpoint.path} holds a {checkpoint.architecture}, but {task.kind.name} trains {around} folders",
            f"make one of it: prunecli convert {checkpoint.path} OUT --to {around.replace('_', '-')}",
        )
    if "task" in config and checkpoint.config.get("task") != config["task"]:
        raise InputError(
            f"{checkpoint.path} is for {checkpoint.config.get('task')}, but the labels are {config['task']}",
            "give each position one label, or a list of labels, as the model has them",
        )


def _in_the_heads_words(task: Task, names: list[str]) -> Task:
    """Return one's own task with all labels of the head, spelled as the data spell them."""
    alike = _spelling(names, task.labels)
    spelled = {alike(label): label for label in task.labels}
    fewer = len(task.labels) < len(names)
    if are_numbers(task.labels) and len(task.labels) <= len(names) and not (task.vectors and fewer):
        labels = tuple(names)
    elif spelled.keys() <= {alike(name) for name in names}:
        labels = tuple(spelled.get(alike(name), name) for name in names)
    elif len(task.labels) != len(names) or all(_plain(name).startswith("label") for name in names):
        return task  # another number of labels, which is said elsewhere; or a head that never learned their names
    else:
        raise InputError(
            f"labels {', '.join(task.labels[:SHOWN])} are not those of the head: {', '.join(names[:SHOWN])}",
            "spell them as the head does, or write numbers: 0 is " + names[0],
        )
    return with_metrics(replace(task, labels=labels))


def _label_names(checkpoint: Checkpoint) -> list[str]:
    labels = checkpoint.config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    whole = isinstance(labels, dict) and all(
        str(key).isdigit() and isinstance(labels[key], str) for key in labels
    )
    if not whole:
        raise InputError(f"{checkpoint.path}: id2label in config.json is no mapping of ids to names")
    return [labels[number] for number in sorted(labels, key=int)]


def _spelling(*groups: Collection[str]) -> Callable[[str], str]:
    """Return what labels are compared by: their letters and digits, but all of them where only that tells C from C#."""
    plain = all(len({_plain(label) for label in labels}) == len(labels) for labels in groups)
    return _plain if plain else str


def _plain(label: str) -> str:
    return "".join(character for character in label.lower() if character.isalnum())
