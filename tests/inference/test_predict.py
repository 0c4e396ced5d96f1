"""`predict` as a whole, in this process: fields, order, the output file, errors half-way."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import prunecli
from prunecli.checkpoints.atomic import partial_path
from prunecli.checkpoints.source import find_model
from prunecli.config import PredictConfig
from prunecli.errors import InputError, TargetExistsError
from prunecli.inference.batching import LOOK_AHEAD
from prunecli.inference.jsonl import line_of
from prunecli.operations import predict
from tests import tiny

TEXTS = ["good", "the film was not very good", "dull plot", "we saw it on monday " * 3, "bad"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(TEXTS))
    )
    return path


def config(bert: Path, source: Path, **options: Any) -> PredictConfig:
    return PredictConfig.of({"checkpoint": bert, "source": str(source), "device": "cpu", **options})


def test_records_come_out_in_order_with_their_fields(bert: Path, rows: Path) -> None:
    found = list(predict.run(config(bert, rows, batch_size=2)))
    assert [list(record) for record in found] == [["id", "text", "label", "score"]] * len(TEXTS)
    assert [record["id"] for record in found] == list(range(len(TEXTS)))
    assert [record["text"] for record in found] == TEXTS


@torch.no_grad()
def test_label_and_score_are_those_of_the_model_alone_with_each_text() -> None:
    folder = find_model("demo", "demo")
    lines = (folder.parent / "validation.jsonl").read_text().splitlines()[:50]
    records = [json.loads(line) for line in lines]
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = list(prunecli.predict(folder, records, batch_size=8, device="cpu"))
    for record in found:
        chances = model(**tokenizer(record["text"], return_tensors="pt")).logits.softmax(-1)[0]
        assert record["label"] == model.config.id2label[int(chances.argmax())]
        assert record["score"] == pytest.approx(float(chances.max()), abs=1e-6)
    assert {record["label"] for record in found} == {"negative", "positive"}


def test_the_batch_size_changes_nothing(bert: Path, rows: Path) -> None:
    scores = [
        [record["score"] for record in predict.run(config(bert, rows, batch_size=size))] for size in (1, 4)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_order_holds_over_windows(bert: Path) -> None:
    records = [{"text": "good " * (number % 7), "id": number} for number in range(2 * LOOK_AHEAD + 3)]
    found = list(prunecli.predict(bert, records, batch_size=1, device="cpu"))
    assert [record["id"] for record in found] == [record["id"] for record in records]


def test_labels_of_labelled_data_are_kept_under_another_name(bert: Path) -> None:
    record = {"label": 1, "text": "good", "score": 0.25}
    first = next(prunecli.predict(bert, [record], device="cpu"))
    assert list(first) == ["input_label", "text", "input_score", "label", "score"]
    assert (first["input_label"], first["input_score"]) == (1, 0.25)
    again = next(prunecli.predict(bert, [first], device="cpu"))
    assert {**again, "label": None, "score": None} == {
        **first, "input_input_label": first["label"], "input_input_score": first["score"], "label": None, "score": None,
    }  # fmt: skip


def test_a_regression_leaves_no_field_called_label(tmp_path: Path) -> None:
    folder = tiny.save_tiny(tmp_path / "regression", "bert", num_labels=1, problem_type="regression")
    found = next(prunecli.predict(folder, [{"text": "good", "label": 3.5}], device="cpu"))
    assert found.keys() == {"text", "input_label", "score"}
    assert isinstance(found["score"], float)


def test_texts_that_were_cut_are_said_once(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(predict.log, "warning", lambda text, *values: said.append(text % values))
    records = [{"text": "good " * length} for length in (1, 6, 7, 30)] * LOOK_AHEAD
    list(prunecli.predict(bert, records, max_length=8, batch_size=2, device="cpu"))
    assert said == [f"{2 * LOOK_AHEAD} of {4 * LOOK_AHEAD} records were longer than 8 tokens and were cut"]


def test_memory_is_bounded_by_the_window(bert: Path) -> None:
    read = []

    def endless() -> Iterator[dict[str, str]]:
        while True:
            read.append(1)
            yield {"text": "good"}

    next(prunecli.predict(bert, endless(), batch_size=1, device="cpu"))
    assert len(read) == LOOK_AHEAD


def test_no_records_are_no_predictions(bert: Path) -> None:
    assert list(prunecli.predict(bert, [], device="cpu")) == []


def test_the_output_file_appears_when_all_is_done(bert: Path, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    predictions = predict.run(config(bert, rows, out=out))
    first = next(predictions)
    assert not out.exists() and partial_path(out).exists()
    found = [first, *predictions]
    assert [json.loads(line) for line in out.read_text().splitlines()] == found
    assert not partial_path(out).exists()


def test_an_existing_output_file_is_kept_unless_told(bert: Path, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    with pytest.raises(TargetExistsError, match="already exists"):
        predict.run(config(bert, rows, out=out))
    assert out.read_text() == "old"
    list(predict.run(config(bert, rows, out=out, overwrite=True)))
    assert len(out.read_text().splitlines()) == len(TEXTS)


@pytest.mark.parametrize("out", [".", "no-such-folder/out.jsonl"])
def test_an_output_file_that_cannot_be_is_refused(out: str, bert: Path, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        predict.run(config(bert, rows, out=tmp_path / out))


def test_a_broken_record_leaves_nothing_behind(bert: Path, rows: Path, tmp_path: Path) -> None:
    good = rows.read_text().splitlines(keepends=True)[0]
    rows.write_text(good * (LOOK_AHEAD + 1) + "{broken\n")
    out = tmp_path / "out.jsonl"
    predictions = predict.run(config(bert, rows, out=out, batch_size=1))
    assert len([next(predictions) for _ in range(LOOK_AHEAD)]) == LOOK_AHEAD
    with pytest.raises(InputError, match=f"line {LOOK_AHEAD + 2} is not valid JSON"):
        list(predictions)
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl"}


def test_the_checkpoint_folder_is_never_written(rows: Path, tiny_checkpoint: Callable[..., Path]) -> None:
    folder = tiny_checkpoint("distilbert")
    before = {path: path.stat() for path in [folder, *folder.iterdir()]}
    assert list(predict.run(config(folder, rows)))
    after = {path: path.stat() for path in [folder, *folder.iterdir()]}
    assert {path: stat.st_mtime_ns for path, stat in before.items()} == {
        path: stat.st_mtime_ns for path, stat in after.items()
    }


def test_lines_are_utf8_and_always_json() -> None:
    assert line_of({"text": "é\n"}) == '{"text": "é\\n"}\n'.encode()
    assert json.loads(line_of({"other": "\ud83d"})) == {"other": "\ud83d"}
