"""The checkpoint's label order wins, so that its head stays as it was trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from prunecli.checkpoints.folder import Checkpoint, read_checkpoint
from prunecli.errors import InputError
from prunecli.tasks import Task, TaskData, kinds, known_task
from prunecli.tasks.data import targets
from prunecli.training.head import fit_labels
from tests import tiny

CLASSIFICATION = kinds.get("classification")
MNLI = {
    "premise": ["x"] * 3,
    "hypothesis": ["y"] * 3,
    "label": [0, 1, 2],
}  # entailment, neutral, contradiction


def data_of(task: Task, columns: dict[str, list[Any]]) -> TaskData:
    """Return a task with the same rows in both splits."""
    rows = Dataset.from_dict(columns)
    return TaskData(task, rows, rows, "test")


@pytest.fixture
def labelled(bert: Path, tmp_path: Path) -> Callable[..., Checkpoint]:
    """Return a function that makes a checkpoint whose head has the given label names."""

    def make(names: Any) -> Checkpoint:
        folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
        config = json.loads((folder / "config.json").read_text())
        labels = dict(enumerate(names)) if isinstance(names, list) else names
        (folder / "config.json").write_text(json.dumps({**config, "id2label": labels}))
        return read_checkpoint(folder)

    return make


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["entailment", "neutral", "contradiction"], [0, 1, 2]),
        (["contradiction", "entailment", "neutral"], [1, 2, 0]),
        (["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], [2, 1, 0]),
        (["LABEL_0", "LABEL_1", "LABEL_2"], [0, 1, 2]),
    ],
)
def test_labels_get_the_ids_of_the_checkpoints_head(
    names: list[str], ids: list[int], labelled: Callable[..., Checkpoint]
) -> None:
    data = fit_labels(data_of(known_task("mnli"), MNLI), labelled(names))
    assert targets(data.task, data.train) == ids


def test_the_config_keeps_the_heads_order(labelled: Callable[..., Checkpoint]) -> None:
    data = fit_labels(data_of(known_task("mnli"), MNLI), labelled(["contradiction", "entailment", "neutral"]))
    config = data.task.kind.config(data.task)
    assert config["id2label"] == {0: "contradiction", 1: "entailment", 2: "neutral"}
    assert config["label2id"]["entailment"] == 1


def test_ten_labels_are_ordered_by_number_not_by_text(labelled: Callable[..., Checkpoint]) -> None:
    names = [f"topic{number}" for number in range(11)]
    task = Task("own", CLASSIFICATION, ("text",), ("accuracy",), labels=tuple(reversed(names)))
    data = fit_labels(data_of(task, {"text": ["x"], "label": ["topic10"]}), labelled(names))
    assert targets(data.task, data.train) == [10]


def test_another_number_of_labels_is_refused(labelled: Callable[..., Checkpoint]) -> None:
    with pytest.raises(InputError, match="has 2 labels, task mnli needs 3"):
        fit_labels(data_of(known_task("mnli"), MNLI), labelled(["no", "yes"]))


def test_a_head_of_another_kind_is_not_asked(tiny_checkpoint: Callable[..., Path]) -> None:
    data = data_of(known_task("mnli"), MNLI)
    assert fit_labels(data, read_checkpoint(tiny_checkpoint("bert", tiny.QUESTIONS))) is data


@pytest.mark.parametrize("names", [{"a": "b"}, 3, {"0": 1, "1": 2, "2": 3}])
def test_label_names_that_are_none_are_refused(names: Any, labelled: Callable[..., Checkpoint]) -> None:
    with pytest.raises(InputError, match="id2label"):
        fit_labels(data_of(known_task("mnli"), MNLI), labelled(names))


def test_a_regression_has_one_output() -> None:
    task = known_task("stsb")
    assert task.kind.config(task) == {"num_labels": 1, "problem_type": "regression"}
