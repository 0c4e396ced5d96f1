"""`python -m prunecli predict` as a process: pipes, streams, exit codes."""

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from prunecli.inference.stream import WINDOW_ROWS

DEMO = Path(str(resources.files("prunecli.demo")))
ROWS = DEMO / "validation.jsonl"


def predict(*arguments: object, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "prunecli", "predict", str(DEMO / "model"), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=120)


def test_labelled_rows_are_predicted_as_well_as_the_model_can() -> None:
    done = predict(ROWS)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    names = ("negative", "positive")
    right = sum(record["label"] == names[record["input_label"]] for record in found)
    assert len(found) == 400 and right / len(found) > 0.9
    assert done.stderr.startswith("400 records, ")


@pytest.mark.parametrize("flag", ["--json", "-q"])
def test_plain_lines_come_through_a_pipe_and_nothing_is_said(flag: str) -> None:
    done = predict(flag, stdin="the songs were good\n\nthe songs were dull\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [
        "the songs were good",
        "the songs were dull",
    ]


def test_a_reader_that_has_enough_sees_no_traceback() -> None:
    command = [sys.executable, "-m", "prunecli", "predict", str(DEMO / "model"), str(ROWS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in said and "BrokenPipe" not in said and "error" not in said


def test_an_error_ends_it_while_standard_input_stays_open() -> None:
    command = [sys.executable, "-m", "prunecli", "predict", str(DEMO / "model"), "--fail-fast"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stderr
        process.stdin.write('{"text": 1}\n' * WINDOW_ROWS)
        process.stdin.flush()
        said = process.stderr.read()  # to its end, which comes before standard input's
        assert process.wait(60) == 2
    assert "record 1: field 'text' holds int" in said and "Fatal" not in said


def test_bad_input_is_one_error_and_one_hint_and_no_file(tmp_path: Path) -> None:
    done = predict("--out", tmp_path / "out.jsonl", stdin='{"body": "good"}\n')
    assert (done.returncode, done.stdout) == (2, "")
    error, hint = done.stderr.splitlines()
    assert error == "error: record 1 has no field with a known name (it has body)"
    assert hint.startswith("hint: ") and "--fields" in hint
    assert list(tmp_path.iterdir()) == []
