"""The checkpoint's label order wins, so that its head stays as it was trained."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from transformers import EvalPrediction

from prunecli.checkpoints.folder import Checkpoint, read_checkpoint
from prunecli.errors import InputError
from prunecli.tasks import Task, TaskData, kinds, known_task, load_task
from prunecli.tasks.data import targets
from prunecli.tasks.labels import id_of
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


@pytest.mark.parametrize(
    ("names", "warned"),
    [
        (["negative", "positive"], True),
        (["not_entailment", "entailment"], False),
        (["LABEL_0", "LABEL_1"], False),
        (["0", "1"], False),
    ],
)
def test_a_head_of_another_task_is_told(
    names: list[str], warned: bool, labelled: Callable[..., Checkpoint], caplog: pytest.LogCaptureFixture
) -> None:
    rows = {"question": ["a"], "sentence": ["b"], "label": [0]}
    fit_labels(data_of(known_task("qnli"), rows), labelled(names))
    assert ("says negative, positive, task qnli says entailment, not_entailment" in caplog.text) == warned


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


def own(kind: str, labels: tuple[str, ...], **more: Any) -> TaskData:
    """Return a task for data of one's own."""
    task = Task("own", kinds.get(kind), ("text",), ("accuracy",), labels=labels, **more)
    return data_of(task, {"text": ["x"], "label": [labels[0]]})


@pytest.mark.parametrize("kind", ["classification", "multi-label"])
def test_own_data_may_lack_a_label_of_the_head(kind: str, labelled: Callable[..., Checkpoint]) -> None:
    data = fit_labels(own(kind, ("good", "bad")), labelled(["BAD", "so-so", "Good"]))
    assert data.task.ordered_labels == ("bad", "so-so", "good")


def test_numbers_get_the_names_of_the_head(labelled: Callable[..., Checkpoint]) -> None:
    data = fit_labels(own("classification", ("0", "1")), labelled(["bad", "so-so", "good"]))
    assert data.task.kind.config(data.task)["id2label"] == {0: "bad", 1: "so-so", 2: "good"}
    with_numbers = replace(data, train=Dataset.from_dict({"text": ["x"], "label": [2]}))
    assert targets(with_numbers.task, with_numbers.train) == [2]


def test_a_vector_has_an_entry_for_each_label_of_the_head(labelled: Callable[..., Checkpoint]) -> None:
    checkpoint = labelled(["bad", "so-so", "good"])
    fitted = fit_labels(own("multi-label", ("0", "1", "2"), vectors=True), checkpoint)
    assert fitted.task.labels == ("bad", "so-so", "good")
    with pytest.raises(InputError, match="has 3 labels, task own needs 2"):
        fit_labels(own("multi-label", ("0", "1"), vectors=True), checkpoint)


@pytest.mark.parametrize("labels", [("good", "bad"), ("good", "fine", "dull", "bad")])
def test_names_that_the_head_does_not_know_are_refused(
    labels: tuple[str, ...], labelled: Callable[..., Checkpoint]
) -> None:
    with pytest.raises(InputError, match="has 3 labels"):
        fit_labels(own("classification", labels), labelled(["bad", "so-so", "fine"]))


def test_classes_for_a_head_of_one_output_may_be_scores(labelled: Callable[..., Checkpoint]) -> None:
    with pytest.raises(InputError, match="has 1 labels") as raised:
        fit_labels(own("classification", ("0", "1", "2")), labelled(["score"]))
    assert "--task-kind regression" in str(raised.value.fix)


def test_tags_get_their_metric_with_the_names_of_the_head(
    tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint("bert", "ForTokenClassification"), tmp_path / "tagger"))
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {0: "O", 1: "B-DAY", 2: "I-DAY"}
    (folder / "config.json").write_text(json.dumps(config))
    data = fit_labels(own("token-classification", ("0", "1")), read_checkpoint(folder))
    assert (data.task.labels, data.task.metrics) == (("O", "B-DAY", "I-DAY"), ("f1", "accuracy"))


@pytest.mark.parametrize("names", [["not_equivalent", "equivalent"], ["equivalent", "not_equivalent"]])
def test_f1_is_of_the_tasks_class_whatever_the_heads_order(
    names: list[str], labelled: Callable[..., Checkpoint]
) -> None:
    rows = {"sentence1": ["a"] * 4, "sentence2": ["b"] * 4, "label": [1, 1, 1, 0]}
    data = fit_labels(data_of(known_task("mrpc"), rows), labelled(names))
    features = data.task.kind.features(data, tiny.tiny_tokenizer("bert"), 8)
    said = ["equivalent"] * 4
    logits = np.eye(2)[[names.index(name) for name in said]]
    found = features.score(EvalPrediction(logits, np.array(targets(data.task, data.train))))
    assert found == {"accuracy": 0.75, "f1": pytest.approx(6 / 7)}


def test_numbers_in_one_file_and_words_in_the_other_are_the_same_labels(tmp_path: Path) -> None:
    """Of CSV, a column of 1, 2 and 3 holds numbers, and one of 1, 2, 3 and 4+ words."""
    (tmp_path / "train.csv").write_text(
        "text,label\n" + "".join(f"a,{label}\n" for label in ("1", "2", "3", "4+"))
    )
    (tmp_path / "validation.csv").write_text("text,label\na,3\nb,1\nc,2\n")
    data = load_task(str(tmp_path))
    assert targets(data.task, data.train) == [0, 1, 2, 3]
    assert targets(data.task, data.validation) == [2, 0, 1]


def test_a_number_that_is_no_labels_name_is_refused_where_names_are_numbers() -> None:
    find = id_of(own("classification", ("1", "2", "more")).task)
    assert [find(label) for label in (1, 2.0, "2", "more")] == [0, 1, 1, 2]
    with pytest.raises(InputError, match="label 0 is not one of the 3 labels"):
        find(0)


@pytest.mark.parametrize("names", [["C", "C#", "C++", "Java"], ["+", "-"], ["\U0001f600", "\U0001f622"]])
def test_labels_that_signs_alone_tell_apart_stay_apart(
    names: list[str], labelled: Callable[..., Checkpoint]
) -> None:
    checkpoint = labelled(names)
    assert fit_labels(own("classification", tuple(names)), checkpoint).task.labels == tuple(names)
    assert fit_labels(own("classification", (names[-1],)), checkpoint).task.labels == tuple(names)


@pytest.mark.parametrize("label", [[1], {"a": 1}, b"x", date(2026, 1, 1)])
def test_what_can_be_no_label_is_refused(label: Any, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    Dataset.from_dict({"text": ["a", "b"], "label": [label] * 2}).to_parquet(file)
    with pytest.raises(InputError, match=r"column 'label' holds .* values, which are no labels"):
        load_task(str(file), kind="classification")
