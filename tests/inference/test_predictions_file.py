"""The file of predictions: it appears whole, and an interrupted run goes on with it."""

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import prunecli
from prunecli.checkpoints.atomic import partial_path
from prunecli.config import PredictConfig
from prunecli.errors import InputError, TargetExistsError
from prunecli.inference import stream
from prunecli.inference.formats import read_records
from prunecli.operations import predict
from tests.inference.conftest import TEXTS


def config(bert: Path, source: Path, **options: Any) -> PredictConfig:
    return PredictConfig.of({"checkpoint": bert, "source": str(source), "device": "cpu", **options})


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
