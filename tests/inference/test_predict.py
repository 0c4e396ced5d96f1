"""`predict` as a whole, in this process: fields, order, the output file, errors half-way."""

import gc
import json
import threading
from collections import deque
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
from prunecli.inference import stream
from prunecli.inference.first_token import FirstTokenAttention
from prunecli.inference.formats import read_records
from prunecli.inference.formats.jsonl import line_of
from prunecli.inference.packed_linears import PackedLinear
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
    found = list(predict.run(config(bert, rows, batch_tokens=32)))
    assert [list(record) for record in found] == [["id", "text", "label", "score", "score_raw"]] * len(TEXTS)
    assert [record["id"] for record in found] == list(range(len(TEXTS)))
    assert [record["text"] for record in found] == TEXTS


@torch.no_grad()
def test_label_and_score_are_those_of_the_model_alone_with_each_text() -> None:
    folder = find_model("demo", "demo")
    lines = (folder.parent / "validation.jsonl").read_text().splitlines()[:50]
    records = [json.loads(line) for line in lines]
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = list(prunecli.predict(folder, records, device="cpu"))
    for record in found:
        chances = model(**tokenizer(record["text"], return_tensors="pt")).logits.softmax(-1)[0]
        assert record["label"] == model.config.id2label[int(chances.argmax())]
        assert record["score"] == pytest.approx(float(chances.max()), abs=1e-6)
    assert {record["label"] for record in found} == {"negative", "positive"}


def test_a_classifier_is_made_fast() -> None:
    modules = [type(module) for module in prunecli.Predictor("demo", device="cpu").runnable.model.modules()]
    assert modules.count(FirstTokenAttention) == 1
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        assert modules.count(PackedLinear) > 6


def test_the_batch_size_changes_nothing(bert: Path, rows: Path) -> None:
    scores = [
        [record["score"] for record in predict.run(config(bert, rows, batch_tokens=size))] for size in (1, 64)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_order_holds_over_windows(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "WINDOW_ROWS", 100)
    monkeypatch.setattr(stream, "CHUNK", 7)
    records = [{"text": "good " * (number % 7), "id": number} for number in range(250)]
    found = list(prunecli.predict(bert, records, device="cpu"))
    assert [record["id"] for record in found] == [record["id"] for record in records]


def test_labels_of_labelled_data_are_kept_under_another_name(bert: Path) -> None:
    record = {"label": 1, "text": "good", "score": 0.25}
    first = next(prunecli.predict(bert, [record], device="cpu"))
    assert list(first) == ["input_label", "text", "input_score", "label", "score", "score_raw"]
    assert (first["input_label"], first["input_score"]) == (1, 0.25)
    again = next(prunecli.predict(bert, [first], device="cpu"))
    assert (again["input_label"], again["input_input_label"]) == (1, first["label"])


def test_a_regression_leaves_no_field_called_label(tmp_path: Path) -> None:
    folder = tiny.save_tiny(tmp_path / "regression", "bert", num_labels=1, problem_type="regression")
    found = next(prunecli.predict(folder, [{"text": "good", "label": 3.5}], device="cpu"))
    assert found.keys() == {"text", "input_label", "score"}
    assert isinstance(found["score"], float)


def test_texts_that_were_cut_are_said_once(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    log = "prunecli.operations.predictions.log"
    monkeypatch.setattr(f"{log}.warning", lambda text, *values: said.append(text % values))
    records = [{"text": "good " * length} for length in (1, 6, 7, 30)] * 40
    predictions = prunecli.predict(bert, records, max_length=8, device="cpu")
    deque(predictions, maxlen=0)
    assert said == ["80 of 160 records were longer than 8 tokens and were cut"]
    assert predictions.result().records_cut == 80


def test_each_call_of_a_predictor_has_counts_of_its_own(bert: Path) -> None:
    predictor = prunecli.Predictor(bert, max_length=8, device="cpu")
    first, second = predictor([{"text": "good " * 30}]), predictor([{"text": "good"}] * 2)
    for predictions in (first, second):
        deque(predictions, maxlen=0)
    results = [predictions.result() for predictions in (first, second)]
    for result in results:
        assert result.model_seconds > 0 and result.waiting_seconds > 0 and result.load_seconds > 0
        assert result.model_seconds + result.waiting_seconds <= result.seconds
    assert [(result.records, result.records_cut) for result in results] == [(1, 1), (2, 0)]


def test_memory_is_bounded_by_two_windows(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One window is in the model, the next one is ready, and one more is in the making."""
    monkeypatch.setattr(stream, "WINDOW_ROWS", stream.CHUNK)
    read = []

    def endless() -> Iterator[dict[str, str]]:
        while True:
            read.append(1)
            yield {"text": "good"}

    predictions = prunecli.predict(bert, endless(), device="cpu")
    for _ in range(5 * stream.CHUNK):
        next(predictions)
    assert len(read) <= 8 * stream.CHUNK
    del predictions
    gc.collect()
    assert "ahead" not in [thread.name for thread in threading.enumerate()]  # it ends with the run


def test_a_record_that_cannot_be_used_is_an_error_in_its_place(bert: Path) -> None:
    records: list[Any] = [
        {"text": "good"},
        {"text": 7, "error": "old"},
        7,
        {"body": "x"},
        {"text": "bad"},
    ]
    predictions = prunecli.predict(bert, records, device="cpu")
    found = list(predictions)
    assert [record.get("error") for record in found] == [
        None, "field 'text' holds int, not text", "a int is no mapping of fields",
        "no field 'text' (it has body)", None,
    ]  # fmt: skip
    assert found[1]["input_error"] == "old" and "score" in found[4]
    assert (predictions.result().records, predictions.result().errors) == (5, 3)
    assert list(prunecli.predict(bert, ["good"], device="cpu")) == found[:1]
    with pytest.raises(InputError, match="record 2: field 'text' holds int"):
        list(prunecli.predict(bert, records, device="cpu", fail_fast=True))


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


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_interrupted_run_goes_on(
    suffix: str, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "WINDOW_ROWS", 2)
    monkeypatch.setattr(stream, "CHUNK", 2)
    source, out = tmp_path / "rows.jsonl", tmp_path / f"out.{suffix}"
    texts = ["good", "bad", "dull plot", "a film", "monday"]
    source.write_text("".join(json.dumps({"text": text, "id": [text]}) + "\n" for text in texts))
    whole = list(predict.run(config(bert, source)))
    first = predict.run(config(bert, source, out=out))
    assert [next(first) for _ in range(3)] == whole[:3]
    with pytest.raises(InputError, match="another command is writing"):
        predict.run(config(bert, source, out=out, overwrite=True))
    del first
    gc.collect()  # closes the file
    partial = partial_path(out)
    partial.write_bytes(partial.read_bytes() + b'{"text": "half a li')
    with pytest.raises(TargetExistsError, match="an interrupted run stands at"):
        predict.run(config(bert, source, out=out))
    rest = predict.run(config(bert, source, out=out, resume=True))
    assert [record["text"] for record in rest] == texts[3:] and rest.result().resumed == 3
    for found, record in zip(read_records(str(out)), whole, strict=True):
        assert found == {
            **record,
            "score": pytest.approx(record["score"]),
            "score_raw": pytest.approx(record["score_raw"]),
        }
    assert not partial.exists()


def test_of_two_that_write_one_file_the_second_leaves_it_alone(bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    first, second = (prunecli.predict(bert, [{"text": "a"}], device="cpu", out=out) for _ in range(2))
    assert next(iter(first))["text"] == "a"
    with pytest.raises(InputError, match="another command is writing"):
        list(second)
    assert list(first) == [] and [record["text"] for record in read_records(str(out))] == ["a"]
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl"}


def test_what_another_command_has_written_meanwhile_stays(bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    texts = ("first", "second")
    first, second = (prunecli.predict(bert, [{"text": text}], device="cpu", out=out) for text in texts)
    assert len(list(first)) == 1
    with pytest.raises(TargetExistsError, match="already exists"):
        list(second)
    assert [record["text"] for record in read_records(str(out))] == ["first"]
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl"}


@pytest.mark.parametrize("text", [None, "{"])
def test_options_of_an_interrupted_run_that_are_lost_are_told(
    text: str | None, bert: Path, tmp_path: Path
) -> None:
    interrupt([{"text": "a"}, {"text": "b"}], bert, tmp_path / "out.jsonl")
    asked = tmp_path / "out.jsonl.partial.json"
    asked.unlink() if text is None else asked.write_text(text)
    with pytest.raises(InputError, match=r"out\.jsonl\.partial cannot be resumed"):
        prunecli.predict(bert, [{"text": "a"}], device="cpu", out=tmp_path / "out.jsonl", resume=True)


def test_an_error_of_the_reader_is_not_one_of_the_file(bert: Path, tmp_path: Path) -> None:
    def records() -> Iterator[dict[str, str]]:
        yield {"text": "good"}
        raise ConnectionError("the database went away")

    with pytest.raises(ConnectionError, match="the database"):
        list(prunecli.predict(bert, records(), device="cpu", out=tmp_path / "out.jsonl"))


def interrupt(records: list[dict[str, Any]], bert: Path, out: Path) -> None:
    """Leave what a run writes that stops behind all but the last record."""
    predictions = prunecli.predict(bert, records, device="cpu", out=out)
    assert len([next(predictions) for _ in records[:-1]]) == len(records) - 1
    del predictions
    gc.collect()  # closes the file


@pytest.mark.parametrize(
    ("records", "options", "said"),
    [
        ([{"text": "bad"}, {"text": "dull"}], {}, "record 2 of the input is not what the interrupted run"),
        ([{"text": "good"}], {}, "record 2 of the input is not what the interrupted run read"),
        ([], {}, "record 2 of the input"),
        (None, {"max_length": 8}, "was started with --max-length not set, now it is 8"),
        (None, {"fields": "text"}, "was started with --fields not set, now it is text"),
    ],
)
def test_another_run_is_not_gone_on_with(
    records: Any, options: dict[str, Any], said: str, bert: Path, tmp_path: Path
) -> None:
    first = [{"text": "good"}, {"text": "good"}, {"text": "film"}]
    interrupt(first, bert, tmp_path / "out.jsonl")
    with pytest.raises(InputError, match=said):
        more = first if records is None else records
        list(prunecli.predict(bert, more, device="cpu", out=tmp_path / "out.jsonl", resume=True, **options))
    assert not (tmp_path / "out.jsonl").exists()


def test_what_was_before_the_interruption_counts(bert: Path, tmp_path: Path) -> None:
    """The first record decides the fields, its errors count, and tuples are lists in JSON."""
    records = [{"text": "good"}, {"text": 7}, {"text": "bad", "id": (1, 2)}, {"text": "a", "text_pair": "b"}]
    expected = list(prunecli.predict(bert, records, device="cpu"))[-1]
    interrupt(records, bert, tmp_path / "out.jsonl")
    rest = prunecli.predict(bert, records, device="cpu", out=tmp_path / "out.jsonl", resume=True)
    assert next(rest)["score"] == pytest.approx(expected["score"])
    assert list(rest) == []
    assert (rest.result().records, rest.result().resumed, rest.result().errors) == (1, 3, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_columns_of_several_kinds_become_parquet(bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    records = [{"text": "good", "more": None}, {"text": 7}, {"text": "bad", "more": [1.5], "new": "x"}]
    found = list(prunecli.predict(bert, records[::2], device="cpu", out=out))
    assert list(read_records(str(out))) == [{"new": None, **record} for record in found]
    with pytest.raises(InputError, match="cannot be written as Parquet"):
        mixed = [{"text": "good", "more": 1}, {"text": "bad", "more": [1]}]
        list(prunecli.predict(bert, mixed, device="cpu", out=tmp_path / "mixed.parquet"))


def test_the_checkpoint_folder_is_never_written(rows: Path, tiny_checkpoint: Callable[..., Path]) -> None:
    folder = tiny_checkpoint("distilbert")
    before = {path: path.stat() for path in [folder, *folder.iterdir()]}
    assert list(predict.run(config(folder, rows)))
    after = {path: path.stat() for path in [folder, *folder.iterdir()]}
    assert {path: stat.st_mtime_ns for path, stat in before.items()} == {
        path: stat.st_mtime_ns for path, stat in after.items()
    }


def test_nothing_is_written_into_the_checkpoint_folder(rows: Path, bert: Path) -> None:
    with pytest.raises(InputError, match="stands in the checkpoint"):
        predict.run(config(bert, rows, out=bert / "out.jsonl"))


def test_lines_are_utf8_and_always_json() -> None:
    assert line_of({"text": "é\n"}) == '{"text": "é\\n"}\n'.encode()
    assert json.loads(line_of({"other": "\ud83d"})) == {"other": "\ud83d"}
