"""`python -m prunecli predict` as a process: pipes, streams, exit codes."""

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

from typer.testing import CliRunner

from prunecli.cli.app import app
from prunecli.errors import InputError
from prunecli.inference.stream import WINDOW_ROWS

DEMO = Path(str(resources.files("prunecli.demo")))
ROWS = DEMO / "validation.jsonl"


def test_plain_lines_come_through_a_pipe_and_nothing_is_said() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prunecli", "predict", "demo", "--json"],
        input="the songs were good\n\nthe songs were dull\n", capture_output=True, text=True, timeout=120,
    )  # fmt: skip
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


def test_a_file_is_written_and_summed_up_and_of_bad_input_none_is(tmp_path: Path) -> None:
    """In this process, which has torch already."""
    words = ["predict", "demo", str(ROWS), "--out", str(tmp_path / "out.jsonl")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout == "" and done.stderr.startswith(f"400 records in {tmp_path}/out.jsonl, ")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    names = ("negative", "positive")
    assert sum(record["label"] == names[record["input_label"]] for record in found) > 360
    (tmp_path / "bad.jsonl").write_text('{"body": "good"}\n')
    words = ["predict", "demo", str(tmp_path / "bad.jsonl"), "--out", str(tmp_path / "none.jsonl")]
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, InputError) and "--fields" in str(error.fix)
    assert error.message == "record 1 has no field with a known name (it has body)"
    error = CliRunner().invoke(app, [*words, "--fields", "bdy"]).exception
    assert isinstance(error, InputError) and error.fix == "did you mean body?"
    assert error.message == "record 1: no field 'bdy' (it has body)"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "out.jsonl"]
