"""What every error promises: exit code 2, a message that names the culprit, and a way out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import prunecli
from prunecli import errors
from prunecli.checkpoints.folder import GRAPH, WEIGHTS, read_checkpoint
from prunecli.cli.app import app
from prunecli.errors import (
    ExitCode,
    InputError,
    MaskError,
    OfflineError,
    PruneError,
    TargetExistsError,
    UnsupportedModelError,
)
from prunecli.masks import MaskSet
from prunecli.models.loading import load_model
from prunecli.shrink.plan import plan_cut
from prunecli.tasks import load_task
from prunecli.tasks.files import read_table
from tests import tiny

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PruneError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_bad_input_with_message_and_fix(kind: type[PruneError]) -> None:
    error = kind("x.json is broken", "take another")
    assert (str(error), error.message, error.fix) == ("x.json is broken", "x.json is broken", "take another")
    assert error.exit_code == ExitCode.BAD_INPUT == 2


def test_the_exit_codes_are_those_of_the_design() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0, "VERDICT_NO": 1, "BAD_INPUT": 2, "INTERNAL": 3, "INTERRUPTED": 130,
    }  # fmt: skip


def use(folder: Path) -> None:
    """Do with a checkpoint what every verb does: read it, load it, plan a cut."""
    checkpoint = read_checkpoint(folder)
    masks = tiny.random_masks(tiny.sizes(folder), ("head", "ffn_int"), seed=0)
    plan_cut(checkpoint, tiny.sizes(folder), masks, MaskSet({}))
    load_model(checkpoint)


def set_config(folder: Path, **entries: Any) -> None:
    """Change `config.json`."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def set_tensor(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change one tensor of the weights."""
    state = load_file(folder / WEIGHTS)
    state[name] = change(state[name])
    save_file(state, folder / WEIGHTS)


def cut_short(path: Path) -> None:
    """Keep the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


QUERY = "bert.encoder.layer.0.attention.self.query.weight"
Spoil = Callable[[Path], Any]
CHECKPOINTS: dict[str, tuple[Spoil, type[PruneError], str]] = {
    "no config": (lambda it: (it / "config.json").unlink(), InputError, "config.json"),
    "config cut short": (lambda it: cut_short(it / "config.json"), InputError, "config.json"),
    "no weights": (lambda it: (it / WEIGHTS).unlink(), InputError, WEIGHTS),
    "weights cut short": (lambda it: cut_short(it / WEIGHTS), InputError, WEIGHTS),
    "a decoder": (lambda it: set_config(it, is_decoder=True), UnsupportedModelError, "decoder"),
    "unsupported": (lambda it: set_config(it, model_type="gpt2"), UnsupportedModelError, "gpt2"),
    "unknown head": (lambda it: set_config(it, architectures=["X"]), UnsupportedModelError, "'X'"),
    "another width": (lambda it: set_config(it, hidden_size=64), InputError, "shape"),
    "another depth": (lambda it: set_config(it, num_hidden_layers=4), InputError, "layer.3"),
    "NaN weights": (lambda it: set_tensor(it, QUERY, lambda tensor: tensor * torch.nan), InputError, QUERY),
    "a smaller tensor": (
        lambda it: set_tensor(it, QUERY, lambda tensor: tensor[:8].clone()),
        InputError,
        QUERY,
    ),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_bad_checkpoint_names_the_culprit_and_a_way_out(kind: str, bert: Path, tmp_path: Path) -> None:
    spoil, error, said = CHECKPOINTS[kind]
    folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
    spoil(folder)
    with pytest.raises(error) as raised:
        use(folder)
    assert said in raised.value.message
    assert raised.value.fix or str(folder) in raised.value.message


def test_masks_of_another_model_are_refused_before_anything_is_written(bert: Path, tmp_path: Path) -> None:
    other = tiny.save_tiny(tmp_path / "other", "bert", intermediate_size=40)
    masks = tiny.random_masks(tiny.sizes(other), ("ffn_int",), seed=0)
    with pytest.raises(MaskError, match=r"ffn_int.*\[3, 40\].*\[3, 48\]"):
        tiny.cut(bert, masks, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


@pytest.fixture
def occupied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where a folder `full` and files in it stand already; `bare` is an empty folder."""
    for folder in ("bare", "full"):
        (tmp_path / folder).mkdir()
    for name in ("file", "file.jsonl"):
        (tmp_path / "full" / name).write_text("text\n")
    monkeypatch.chdir(tmp_path)


# Every verb that reads a checkpoint, with two mistakes: the folder to write stands already, and there is no dmeo.
MISTYPED = (
    "train-masks dmeo demo --out full", "compare dmeo demo --out full", "apply-masks dmeo --out full",
    "verify-automodel dmeo", "evaluate dmeo demo", "benchmark dmeo", "predict dmeo full/file --out full/file.jsonl",
    "convert dmeo full",
)  # fmt: skip


@pytest.mark.usefixtures("occupied")
@pytest.mark.parametrize("line", MISTYPED)
def test_a_mistyped_model_is_told_alike_by_every_verb_and_before_the_output(line: str) -> None:
    done = CliRunner().invoke(app, [*line.split(), "--json"])
    assert isinstance(done.exception, InputError)
    said = {"message": "dmeo: no such folder", "fix": "did you mean demo?", "exit_code": 2}
    assert json.loads(done.stdout) == {"schema_version": 1, "verb": line.split()[0], "error": said}


# Where the output stands, nothing is read: not even this checkpoint, which is an empty folder.
OCCUPIED = (
    "train-masks bare demo --out full",
    "train-masks bare demo --out full --sweep 0.5", "compare bare demo --out full", "convert bare full",
    "predict bare full/file --out full/file.jsonl",
)  # fmt: skip


@pytest.mark.usefixtures("occupied")
@pytest.mark.parametrize("line", OCCUPIED)
def test_an_output_that_stands_is_told_before_anything_is_read(line: str) -> None:
    assert isinstance(CliRunner().invoke(app, line.split()).exception, TargetExistsError)


@pytest.mark.parametrize(
    ("line", "said", "fix"),
    [
        ("train-masks demo demo --mask-init opne", "'opne' is not one of randn, open", "did you mean open?"),
        (
            "train-masks demo demo --learn-masks heads",
            "'heads' is not one of head, ffn_int",
            "did you mean head?",
        ),
        (
            "train-masks demo demo --learn-masks head,ffn_int",
            "is not one of",
            "repeat --learn-masks for each",
        ),
        (
            "apply-masks stopped --out cut",
            "an interrupted run stands at stopped.partial",
            "same command with --resume",
        ),
    ],
)
def test_a_slip_is_told_with_what_was_meant(
    line: str, said: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stopped.partial").mkdir()
    (tmp_path / "stoppe").mkdir()  # not this one
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(app, line.split()).exception
    assert isinstance(error, InputError)
    assert said in error.message and fix in str(error.fix)


def test_a_plan_of_training_is_written_for_people(tmp_path: Path) -> None:
    words = ["train-masks", "demo", "demo", "--target-flops", "0.5", "--method", "one-shot", "--dry-run"]
    (tmp_path / "run" / "model").mkdir(parents=True)
    said = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "run")]).stderr
    assert "run stands already, whole or begun" in said
    rows = [
        [cell.strip() for cell in line.split("\N{BOX DRAWINGS LIGHT VERTICAL}")[1:3]]
        for line in said.splitlines()
    ]
    assert [row for row in rows if row][:9] == [
        ["model", "demo, 3 layers"],
        ["head", "the model's own"],
        ["task", "demo (classification)"],
        ["data", "bundled: 2,000 rows to train, 400 to score"],
        ["method", "one-shot"],
        ["target", "--target-flops 0.5"],
        ["what may go", "head (of 4), ffn_int (of 256)"],
        ["steps", "0: no training"],
        ["encoder MFLOPs, at most", "22.0, of 64 tokens"],
    ]


def test_several_documents_are_not_for_a_classifier() -> None:
    words = ["predict", "demo", "--query", "a", "--document", "b", "--document", "c"]
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, InputError)
    assert error.message == "--query with several --document is nothing that classification reads"
    assert str(error.fix).startswith("give --query alone or --query with one --document, ")


def test_a_cut_model_beside_the_whole_one_says_what_to_compare_with(bert: Path, tmp_path: Path) -> None:
    cut = tiny.cut(bert, tiny.random_masks(tiny.sizes(bert), ("head",), seed=0), tmp_path / "cut")
    done = CliRunner().invoke(app, ["verify-automodel", str(cut), "--against", str(bert)])
    assert done.exit_code == ExitCode.VERDICT_NO
    assert f"--masks {cut / 'masks.safetensors'} gates it first" in done.stderr


# Files that a library would complain of in words of its own: name, content, and what is said of them.
BROKEN_ROWS = [
    ("rows.parquet", b"PAR1 and no more", "rows.parquet is no Parquet file, or not all of one"),
    ("rows.jsonl", b'{"text": "a"}\n\n{"text": "b"\n', "rows.jsonl line 3 is not valid JSON"),
    ("rows.jsonl", b'[{"text": "a"}]\n', "rows.jsonl holds one JSON array, not an object a line"),
    (
        "rows.jsonl",
        b'{"text": "a"}\n{"text": 1}\n',
        "field 'text' is string in one line and number in another",
    ),
]


@pytest.mark.parametrize(("name", "content", "said"), BROKEN_ROWS)
def test_a_broken_file_of_rows_is_told_in_our_words(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_table(tmp_path / name)
    assert said in raised.value.message and raised.value.fix


def test_the_hub_out_of_reach_is_an_error_of_its_own() -> None:
    with pytest.raises(OfflineError):
        load_task("qqp")


def test_only_a_checkpoint_of_weights_that_are_cut_is_verified(bert: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(bert, tmp_path / "run" / "model")).parent
    (run / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is a run folder of train-masks, which is not cut yet"):
        prunecli.verify_automodel(run)
    graph = Path(shutil.copytree(bert, tmp_path / "graph", ignore=shutil.ignore_patterns(WEIGHTS)))
    (graph / GRAPH).write_bytes(b"")
    with pytest.raises(InputError, match="holds a graph for onnxruntime and no weights"):
        prunecli.verify_automodel(graph)
