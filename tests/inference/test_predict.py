"""`predict` as a whole, in this process: fields, order, the output file, errors half-way."""

import gc
import json
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import prunecli
from prunecli.checkpoints.source import find_model
from prunecli.config import PredictConfig
from prunecli.errors import InputError
from prunecli.inference import stream
from prunecli.inference.first_token import FirstTokenAttention
from prunecli.inference.formats.jsonl import line_of
from prunecli.inference.packed_linears import PackedLinear
from prunecli.operations import predict
from tests import tiny
from tests.inference.conftest import TEXTS


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


def test_lines_are_utf8_and_always_json() -> None:
    assert line_of({"text": "é\n"}) == '{"text": "é\\n"}\n'.encode()
    assert json.loads(line_of({"other": "\ud83d"})) == {"other": "\ud83d"}
