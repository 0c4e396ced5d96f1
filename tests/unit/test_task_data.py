"""Rows from files of every kind; columns and labels that do not fit are refused by name."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from prunecli.errors import InputError, OfflineError
from prunecli.tasks import load_split, load_task, tasks
from prunecli.tasks.data import targets
from prunecli.tasks.files import find_split

Rows = list[dict[str, Any]]
SST2: Rows = [{"sentence": f"film {number}", "label": number % 2} for number in range(6)]


def write(path: Path, rows: Rows) -> None:
    """Write rows as the suffix says."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def folder_of(folder: Path, train: Rows, validation: Rows | None = None, suffix: str = ".jsonl") -> Path:
    """Write both splits into a folder."""
    write(folder / f"train{suffix}", train)
    write(folder / f"validation{suffix}", train if validation is None else validation)
    return folder


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".json", ".csv", ".tsv"])
def test_every_format_gives_the_same_rows(suffix: str, tmp_path: Path) -> None:
    data = load_task("sst2", folder_of(tmp_path, SST2, suffix=suffix))
    assert data.train.to_list() == SST2
    assert targets(data.task, data.train) == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "split", "found"),
    [
        ("validation_matched.csv", "validation_matched", True),
        ("validation.jsonl", "validation_matched", True),
        ("dev.tsv", "validation", True),
        ("test.csv", "validation", False),
        ("validation.txt", "validation", False),
    ],
)
def test_a_split_is_found_under_its_usual_names(name: str, split: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    if found:
        assert find_split(tmp_path, split).name == name
    else:
        with pytest.raises(InputError, match=f"has no {split} file"):
            find_split(tmp_path, split)


def test_the_bundled_task_needs_no_folder() -> None:
    data = load_task("demo", max_train_samples=10)
    assert (len(data.train), data.source) == (10, "bundled")


def test_the_hub_out_of_reach_says_so() -> None:
    with pytest.raises(OfflineError, match="task sst2") as raised:
        load_task("sst2")
    assert "--data-dir" in str(raised.value.fix)


@pytest.mark.parametrize(("column", "option"), [("sentence", "--text-columns"), ("label", "--label-column")])
def test_a_missing_column_is_named_with_those_that_are_there(
    column: str, option: str, tmp_path: Path
) -> None:
    rows = [{key: value for key, value in row.items() if key != column} | {"other": 1} for row in SST2]
    with pytest.raises(InputError, match=f"no column '{column}' .*other") as raised:
        load_task("sst2", folder_of(tmp_path, rows))
    assert option in str(raised.value.fix)


def test_columns_of_ones_own_may_be_named(tmp_path: Path) -> None:
    rows = [{"a": "x", "b": "y", "topic": "red"}, {"a": "x", "b": "y", "topic": "blue"}]
    data = load_task(str(folder_of(tmp_path, rows)), text_columns="a, b", label_column="topic")
    assert (data.task.columns, data.task.labels) == (("a", "b"), ("blue", "red"))
    assert targets(data.task, data.train) == [1, 0]


@pytest.mark.parametrize("label", [2, -2, 99])
def test_a_label_out_of_range_is_named_with_its_row(label: int, tmp_path: Path) -> None:
    rows = [*SST2, {"sentence": "x", "label": label}]
    message = rf"train\.jsonl, row 7: label {label} is not one of the 2 labels of task sst2"
    with pytest.raises(InputError, match=message):
        load_task("sst2", folder_of(tmp_path, rows))


def test_labels_may_be_names(tmp_path: Path) -> None:
    rows = [{"sentence": "x", "label": "positive"}, {"sentence": "y", "label": "negative"}]
    data = load_task("sst2", folder_of(tmp_path, rows))
    assert targets(data.task, data.train) == [1, 0]


def test_an_unknown_label_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 1: label 'great' is not one of .*negative, positive"):
        load_task("sst2", folder_of(tmp_path, [{"sentence": "x", "label": "great"}]))


def test_a_label_between_two_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 1: label 0\.5"):
        load_task("sst2", folder_of(tmp_path, [{"sentence": "x", "label": 0.5}]))


@pytest.mark.parametrize("unlabelled", [-1, None])
def test_rows_without_a_label_are_dropped(unlabelled: int | None, tmp_path: Path) -> None:
    rows = [*SST2, {"sentence": "x", "label": unlabelled}]
    assert len(load_task("sst2", folder_of(tmp_path, rows)).validation) == 6


def test_a_split_without_any_label_is_refused(tmp_path: Path) -> None:
    unlabelled = [{**row, "label": -1} for row in SST2]
    with pytest.raises(InputError, match="label"):
        load_task("sst2", folder_of(tmp_path, SST2, unlabelled))


def test_own_data_without_any_label_are_refused(tmp_path: Path) -> None:
    rows = [{"text": "x", "label": -1}] * 6
    with pytest.raises(InputError, match="holds no labels"):
        load_task(str(folder_of(tmp_path, rows)))


def test_a_column_of_row_numbers_is_no_label(tmp_path: Path) -> None:
    rows = [{"text": "x", "label": number} for number in (7, 2_000_000)]
    with pytest.raises(InputError, match="label"):
        load_task(str(folder_of(tmp_path, rows)))


def test_own_scores_make_a_regression(tmp_path: Path) -> None:
    rows = [{"text": "x", "label": 0.5}, {"text": "y", "label": 3.0}]
    data = load_task(str(folder_of(tmp_path, rows)))
    assert (data.task.kind.name, data.task.kind.head) == ("regression", "ForSequenceClassification")
    assert targets(data.task, data.train) == [0.5, 3.0]


def test_a_missing_score_is_refused(tmp_path: Path) -> None:
    rows = [{"sentence1": "x", "sentence2": "y", "label": score} for score in (0.5, None)]
    with pytest.raises(InputError, match=r"train\.jsonl, row 2: label None is not a number"):
        load_task("stsb", folder_of(tmp_path, rows))


def test_own_whole_numbers_make_classes(tmp_path: Path) -> None:
    data = load_task(str(folder_of(tmp_path, [{"text": "x", "label": number} for number in (0, 2, 1)])))
    assert data.task.labels == ("0", "1", "2")


def test_a_single_file_is_split_the_same_way_for_a_seed(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", [{"text": f"x{number}", "label": number % 2} for number in range(50)])
    first, again = (load_task(str(tmp_path / "rows.csv"), seed=3) for _ in range(2))
    assert (len(first.train), len(first.validation)) == (45, 5)
    assert first.validation["text"] == again.validation["text"]
    assert not set(first.train["text"]) & set(first.validation["text"])


def test_a_single_file_of_one_row_cannot_be_split(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", [{"text": "x", "label": 1}])
    with pytest.raises(InputError, match=r"rows\.csv"):
        load_task(str(tmp_path / "rows.csv"))


def test_an_empty_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.jsonl, row 7: column 'sentence' is empty"):
        load_task("sst2", folder_of(tmp_path, [*SST2, {"sentence": None, "label": 1}]))


def test_a_text_column_of_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sentence"):
        load_task("sst2", folder_of(tmp_path, [{"sentence": 3, "label": 1}]))


def test_a_text_column_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(b"sentence,label\n\xff\xfe,1\n")
    write(tmp_path / "validation.jsonl", SST2)
    with pytest.raises(InputError, match="sentence"):
        load_task("sst2", tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.parquet", b"PAR1 not really"),
        ("train.jsonl", b'{"sentence": "x"\n'),
        ("train.jsonl", b""),
        ("train.csv", b'sentence,label\n"x,1\n'),
        ("train.csv", b"sentence,label\n"),
        ("train.csv", b""),
    ],
)
def test_a_broken_or_empty_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    write(tmp_path / "validation.jsonl", SST2)
    with pytest.raises(InputError, match=name):
        load_task("sst2", tmp_path)


def test_only_the_first_training_rows_are_kept(tmp_path: Path) -> None:
    data = load_task("sst2", folder_of(tmp_path, SST2), max_train_samples=4)
    assert (data.train.to_list(), len(data.validation)) == (SST2[:4], 6)


def test_a_known_task_with_a_data_folder_is_not_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sst2").mkdir()
    (tmp_path / "data").mkdir()
    folder_of(tmp_path / "data", SST2)
    monkeypatch.chdir(tmp_path)
    assert load_task("sst2", tmp_path / "data").task.columns == ("sentence",)


@pytest.mark.parametrize("name", ["absent.csv", "absent.jsonl"])
def test_a_data_file_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} does not exist"):
        load_task(name)


def test_a_label_that_never_changes_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "a,yes\n" * 4)
    load_task(str(file))
    assert "column 'label' holds 'yes' in every row" in caplog.text


def test_a_bundled_task_has_its_own_splits_only() -> None:
    with pytest.raises(InputError, match="task demo has no split test") as raised:
        load_split("demo", "test")
    assert raised.value.fix == "it has train and validation"


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(InputError, match="task 'sst3' is not known") as raised:
        load_task("sst3")
    assert raised.value.fix == "did you mean sst2?"


def test_the_tasks_of_the_issue_are_there() -> None:
    assert {
        "mnli",
        "qqp",
        "qnli",
        "sst2",
        "mrpc",
        "stsb",
        "squad",
        "squad_v2",
        "rte",
        "cola",
        "wnli",
    } <= tasks().keys()
