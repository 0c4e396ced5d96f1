"""Exit codes and streams through real processes: what a shell script and a CI job see."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import prunecli
from prunecli.checkpoints.folder import RECORD, WEIGHTS, sha256
from prunecli.cli.app import app, main
from prunecli.errors import ExitCode, PruneError
from prunecli.verification import isolated
from tests import tiny
from tests.warm_child import WARM

COMMAND = (sys.executable, "-m", "prunecli")
ESCAPE = "\x1b"


def run(*words: str, cwd: Path, code: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line, or `python -c code` with the words as its arguments, away from any terminal."""
    command = COMMAND if code is None else (sys.executable, "-c", code)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PRUNECLI_")}
    done = subprocess.run(
        [*command, *words], cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert ESCAPE not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dense model, `masks.safetensors` for it, and both joined: `pruned`."""
    folder = tmp_path_factory.mktemp("exit-codes")
    dense = tiny.save_tiny(folder / "dense", "bert")
    tiny.cut(dense, tiny.random_masks(tiny.sizes(dense), ("head", "ffn_int"), seed=0), folder / "pruned")
    return folder


def assert_one_error_and_hint(done: subprocess.CompletedProcess[str]) -> None:
    """Check that a failure says what happened and how to mend it, in a line each, and nothing else."""
    assert done.stdout == ""
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def test_done_is_0_and_the_result_one_json_object(source: Path) -> None:
    words = ("apply-masks", "dense", "--masks", "pruned-masks/masks.safetensors", "--dry-run", "--json")
    done = run(*words, cwd=source)
    assert done.returncode == ExitCode.DONE == 0
    result = json.loads(done.stdout)
    assert (result["schema_version"], result["verb"], result["written"]) == (1, "apply-masks", False)
    assert done.stdout.count("\n") == 1


def test_training_talks_on_stderr_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has torch already; what libraries write past Python's streams counts, too."""
    monkeypatch.chdir(tmp_path)
    sizes = ("--max-steps", "2", "--max-train-samples", "64", "--max-length", "64")
    done = CliRunner().invoke(app, ["train-masks", "demo", "demo", *sizes, "--device", "cpu", "--json"])
    assert done.exit_code == 0, done.stderr
    assert capfd.readouterr().out == ""
    result = json.loads(done.stdout)
    assert (result["verb"], result["steps"], result["metric"]) == ("train-masks", 2, "accuracy")
    assert result["out"] == "runs/demo"
    assert (tmp_path / "runs" / "demo" / "run.json").is_file()


def test_a_verdict_of_no_is_1(source: Path, tmp_path: Path) -> None:
    """Flip one bit of one weight, and mend the digest, so that only the comparison of outputs can tell."""
    broken = shutil.copytree(source / "pruned", tmp_path / "pruned")
    weights, record = broken / WEIGHTS, broken / RECORD
    content = bytearray(weights.read_bytes())
    content[-2] ^= 0b0100_0000  # the highest bit of the last weight's mantissa
    weights.write_bytes(content)
    noted = json.loads(record.read_text())
    noted["sha256"][WEIGHTS] = sha256(weights)
    record.write_text(json.dumps(noted))

    against = ("--against", "dense", "--masks", "pruned-masks/masks.safetensors")
    done = run("verify-automodel", str(broken), *against, "--json", cwd=source)
    assert done.returncode == ExitCode.VERDICT_NO == 1, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"] is False
    assert [item["check"] for item in result["findings"] if item["status"] == "fail"] == ["parity"]


@pytest.mark.parametrize(
    "words",
    [
        ("apply-masks", "nowhere", "--dry-run"),
        ("apply-masks", "dense", "--masks", "pruned-masks"),
        ("apply-masks", "dense", "--dry-run"),
        ("apply-masks", "dense", "--masks", "pruned-masks", "--out", "pruned"),
        ("apply-masks", "dense", "--masks", "dense/config.json", "--dry-run"),
        ("apply-masks", "dense", "--config", "unknown-key.yaml"),
    ],
)
def test_bad_input_is_2_with_one_error_and_one_hint(words: tuple[str, ...], source: Path) -> None:
    (source / "unknown-key.yaml").write_text("native-mode: auto\n")
    done = run(*words, cwd=source)
    assert done.returncode == ExitCode.BAD_INPUT == 2
    assert_one_error_and_hint(done)


def test_a_row_that_makes_no_sense_is_2_and_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"tokens": ["we", "saw"], "tags": ["O"] * count} for count in (2, 1)]
    (tmp_path / "names.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["prunecli", "train-masks", "demo", "names.jsonl"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ExitCode.BAD_INPUT
    said = capsys.readouterr()
    assert said.out == ""
    assert "error: names.jsonl, row 2: 2 words, but 1 labels\nhint: " in said.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("words", [("apply-maks",), ("apply-masks",), ("apply-masks", "x", "--dry-rum")])
def test_bad_usage_is_2_and_leaves_stdout_alone(words: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert_one_error_and_hint(done)
    assert "--help" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--dry-rum",), "No such option: --dry-rum"),
        (("--native",), "requires an argument"),
        (("--config", "options.yaml"), "has no option 'native-mode'"),
        (("--native", "sometimes"), "'sometimes' is not one of"),
    ],
)
def test_with_json_a_slip_is_an_object_too(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "options.yaml").write_text("native-mode: auto\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRUNECLI_APPLY_MASKS_JSON", "1")
    monkeypatch.setattr(sys, "argv", ["-m prunecli", "apply-masks", "x", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ExitCode.BAD_INPUT
    result = json.loads(capsys.readouterr().out)
    assert (result["schema_version"], result["verb"]) == (1, "apply-masks")
    assert said in result["error"]["message"] and result["error"]["exit_code"] == 2


BROKEN = """
import prunecli.operations.apply_masks as operation
from prunecli.cli.app import main
def run(config):
    raise ZeroDivisionError("the moon is full")
operation.run = run
main()
"""


@pytest.mark.parametrize("launcher", [subprocess, WARM], ids=["as users have it", "in tests"])
def test_a_child_that_hangs_is_killed_in_time(
    launcher: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child.py").write_text("import time\ntime.sleep(15)\n")
    monkeypatch.setattr(isolated, "CHILD", tmp_path / "child.py")
    monkeypatch.setattr(isolated, "subprocess", launcher)
    with pytest.raises(PruneError, match="the verification child did not finish in 1 s") as raised:
        prunecli.verify_automodel(source / "pruned", timeout=1)
    assert raised.value.fix == "raise --timeout"


@pytest.mark.parametrize("debug", [False, True])
def test_an_internal_error_is_3_and_asks_for_a_report(debug: bool, tmp_path: Path) -> None:
    code = f"import os; os.environ['PRUNECLI_DEBUG'] = '{int(debug)}'\n{BROKEN}"
    done = run("apply-masks", "x", "--dry-run", cwd=tmp_path, code=code)
    assert done.returncode == ExitCode.INTERNAL == 3
    assert done.stderr.startswith("error: internal: ZeroDivisionError: the moon is full\nhint: ")
    assert "prunecli self-test --report" in done.stderr
    assert ("Traceback" in done.stderr) is debug


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_an_interrupt_is_130(tmp_path: Path) -> None:
    """Interrupt the command while it waits for its config file, which is a pipe that nobody fills."""
    pipe = tmp_path / "options.yaml"
    os.mkfifo(pipe)
    child = subprocess.Popen(
        [*COMMAND, "apply-masks", "x", "--config", str(pipe)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with pipe.open("wb"):  # opens once the child has opened it for reading
        child.send_signal(signal.SIGINT)
        stdout, stderr = child.communicate(timeout=30)
    assert child.returncode == ExitCode.INTERRUPTED == 130
    assert stdout == b""
    assert b"Traceback" not in stderr


LOST = """
import os, signal
from prunecli.cli.loading import loading
with loading():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # as libraries do around an import that may fail
        pass
print("went on")
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_an_interrupt_while_libraries_are_imported_is_not_lost(tmp_path: Path) -> None:
    done = run(cwd=tmp_path, code=LOST)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.INTERRUPTED, "", "interrupted\n")


SLIPS = {
    "task": (["train-masks", "demo", "dmeo"], "task 'dmeo' is not known", "did you mean demo?"),
    "file": (["compare", "demo", "row.csv"], "row.csv does not exist", "did you mean rows.csv?"),
    "folder": (["evaluate", "demo", "sst2", "--data-dir", "dat"], "dat does not exist", "did you mean data?"),
    "kind": (
        ["predict", "demo", "rows.csv", "--kind", "tokens"],
        "'tokens' is not known",
        "token-classification",
    ),
    "number": (["benchmark", "demo", "--batch-sizes", "1,8"], "is '1,8', but it must be a whole", "repeat"),
    "option of another": (
        ["evaluate", "demo", "demo", "--lr", "1"],
        "evaluate has no option --lr",
        "train-masks",
    ),
    "file of options": (["benchmark", "demo", "--config", "no.yaml"], "No such file", "check the name"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_in_a_line_are_told_before_torch_is_loaded(
    slip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, said, hint = SLIPS[slip]
    (tmp_path / "rows.csv").write_text("text,label\n")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["prunecli", *words])
    monkeypatch.setattr("prunecli.cli.loading.signal.signal", lambda *_: pytest.fail("torch is being loaded"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ExitCode.BAD_INPUT
    error, _, fix = capsys.readouterr().err.partition("hint: ")
    assert said in error and hint in fix


def test_a_bad_value_is_named_with_the_place_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prunecli", "train-masks", "demo", "demo"])
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setenv("PRUNECLI_TRAIN_MASKS_NUM_EPOCHS", "x")
        main()
    assert (
        "--num-epochs is 'x', but it must be a whole number (PRUNECLI_TRAIN_MASKS_NUM_EPOCHS says so)"
        in capsys.readouterr().err
    )
    (tmp_path / "options.yaml").write_text("lr: fast\n")
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--config", str(tmp_path / "options.yaml")])
    with pytest.raises(SystemExit):
        main()
    assert "--lr is 'fast', but it must be a number (--config says so)" in capsys.readouterr().err
