"""`evaluate`: the numbers that train-masks and predict give, for every kind of folder, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import prunecli
from prunecli.checkpoints.folder import WEIGHTS
from prunecli.cli.app import app
from prunecli.errors import InputError, OfflineError, UnsupportedModelError
from prunecli.models import pruned
from prunecli.tasks import load_split
from tests import tiny

DEMO = Path(prunecli.__file__).parent / "demo"
RANDOM = np.random.default_rng(0)
NLI = ("entailment", "neutral", "contradiction")


def text() -> str:
    return " ".join(str(word) for word in RANDOM.choice(tiny.WORDS, int(RANDOM.integers(3, 12))))


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def nli(tmp_path: Path) -> Path:
    """Return a folder with rows of MNLI, and no training file."""
    rows = [
        {"premise": text(), "hypothesis": text(), "label": int(RANDOM.integers(-1, 3))} for _ in range(60)
    ]
    written(tmp_path / "nli" / "validation_mismatched.jsonl", rows[:20])
    return written(tmp_path / "nli" / "validation_matched.jsonl", rows).parent


def test_the_bundled_model_is_as_good_as_its_predictions() -> None:
    records = [json.loads(line) for line in (DEMO / "validation.jsonl").read_text().splitlines()]
    predicted = prunecli.predict(DEMO / "model", [{"text": record["text"]} for record in records])
    names = ("negative", "positive")
    right = [
        found["label"] == names[record["label"]] for found, record in zip(predicted, records, strict=True)
    ]
    result = prunecli.evaluate("demo", "demo", device="cpu", batch_size=7)
    assert result.metrics == {"accuracy": pytest.approx(np.mean(right))}
    assert (result.rows, result.split, result.data) == (400, "validation", "bundled")


@pytest.mark.parametrize("cut", [False, True])
def test_the_labels_of_the_head_may_come_in_any_order(cut: bool, nli: Path, tmp_path: Path) -> None:
    order = ("contradiction", "Entailment", "neutral")
    labels = {"id2label": dict(enumerate(order)), "label2id": {name: at for at, name in enumerate(order)}}
    folder = tiny.save_tiny(tmp_path / "dense", "bert", **labels)
    if cut:
        masks = tiny.random_masks(tiny.sizes(folder), ("head", "ffn_int"), seed=0)
        folder = tiny.cut(folder, masks, tmp_path / "cut", native="never")
    lines = (nli / "validation_matched.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["label"] >= 0]
    predicted = prunecli.predict(folder, rows, fields="premise,hypothesis", device="cpu")
    right = [found["label"].lower() == NLI[row["label"]] for found, row in zip(predicted, rows, strict=True)]
    result = prunecli.evaluate(folder, "mnli", data_dir=nli, device="cpu")
    assert result.metrics == {"accuracy": pytest.approx(np.mean(right))}
    assert (result.rows, result.split) == (len(rows), "validation_matched")


def test_another_split_may_be_named(bert: Path, nli: Path, tmp_path: Path) -> None:
    names = {"id2label": dict(enumerate(NLI)), "label2id": {name: at for at, name in enumerate(NLI)}}
    folder = tiny.save_tiny(tmp_path / "dense", "bert", **names)
    result = prunecli.evaluate(
        folder, "mnli", data_dir=nli, split="validation_mismatched", device="cpu", max_length=16
    )
    assert 10 < result.rows <= 20
    assert (result.split, result.max_length) == ("validation_mismatched", 16)
    (nli / "validation_mismatched.jsonl").rename(nli / "validation.jsonl")
    with pytest.raises(InputError, match="has no validation_mismatched file"):  # not that of another name
        prunecli.evaluate(folder, "mnli", data_dir=nli, split="validation_mismatched")
    with pytest.raises(InputError, match="has no test file"):
        prunecli.evaluate(folder, "mnli", data_dir=nli, split="test")


def test_of_a_single_file_the_held_out_rows_are_scored_or_all(bert: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "rows.jsonl", [{"text": text(), "label": at % 3} for at in range(40)])
    scored = {split: prunecli.evaluate(bert, str(file), split=split, device="cpu") for split in (None, "all")}
    assert {split: result.rows for split, result in scored.items()} == {None: 4, "all": 40}
    with pytest.raises(InputError, match=r"--split test: .* is a single file"):
        prunecli.evaluate(bert, str(file), split="test")


def test_sorting_and_batches_change_nothing(bert: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "rows.jsonl", [{"text": text(), "label": at % 3} for at in range(40)])
    found = [prunecli.evaluate(bert, str(file), split="all", batch_size=size).metrics for size in (1, 16)]
    assert found[0] == found[1]


@pytest.mark.parametrize("head", ["Model", "ForMaskedLM", tiny.QUESTIONS])
def test_a_checkpoint_without_the_head_is_refused(head: str, tiny_checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(
        UnsupportedModelError, match="no ForSequenceClassification head for task demo"
    ) as raised:
        prunecli.evaluate(tiny_checkpoint("bert", head), "demo")
    assert "fine-tuned" in str(raised.value.fix)


def test_a_head_that_is_not_in_the_file_is_refused(tmp_path: Path) -> None:
    folder = tiny.save_tiny(tmp_path / "two", "bert", num_labels=2)
    tensors = load_file(folder / WEIGHTS)
    save_file(
        {name: tensor for name, tensor in tensors.items() if "classifier" not in name}, folder / WEIGHTS
    )
    with pytest.raises(InputError, match=r"tensor classifier\.bias is missing or was never trained"):
        prunecli.evaluate(folder, "demo")


def test_a_head_with_other_labels_is_refused(bert: Path) -> None:
    with pytest.raises(InputError, match="has 3 labels, task demo needs 2"):
        prunecli.evaluate(bert, "demo")


def test_code_that_is_not_ours_needs_the_flag(bert: Path, tmp_path: Path) -> None:
    masks = tiny.random_masks(tiny.sizes(bert), ("head",), seed=0)
    cut = tiny.cut(bert, masks, tmp_path / "cut", native="never")
    file = str(written(tmp_path / "rows.jsonl", [{"text": text(), "label": at % 3} for at in range(9)]))
    before = prunecli.evaluate(cut, file, split="all", device="cpu")
    with (cut / pruned.FILE).open("a") as code:
        code.write("\n# changed\n")
    with pytest.raises(InputError, match="carries Python that prunecli did not write"):
        prunecli.evaluate(cut, file)
    after = prunecli.evaluate(cut, file, split="all", device="cpu", trust_remote_code=True)
    assert after.metrics == before.metrics


def test_data_that_are_not_here_are_said(bert: Path) -> None:
    with pytest.raises(OfflineError, match="task mnli") as raised:
        prunecli.evaluate(bert, "mnli")
    assert "validation_matched files" in str(raised.value.fix)


def test_the_command_line_gives_a_table_json_or_one_number(tmp_path: Path) -> None:
    model = shutil.copytree(DEMO / "model", tmp_path / "model")
    words = ["evaluate", str(model), "demo", "--device", "cpu"]
    shown = CliRunner().invoke(app, words)
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "scoring (1/7)" in shown.stderr
    assert "accuracy" in shown.stderr and "400 rows" in shown.stderr
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert (found["verb"], found["metric"], found["rows"]) == ("evaluate", "accuracy", 400)
    number = CliRunner().invoke(app, [*words, "-q"]).stdout
    assert float(number) == pytest.approx(found["metrics"]["accuracy"], abs=1e-5)


def test_a_runs_own_seed_says_which_rows_were_held_out(bert: Path, tmp_path: Path) -> None:
    rows = [{"text": text(), "label": at % 3} for at in range(40)]
    file = str(written(tmp_path / "rows.jsonl", rows))
    run = prunecli.train_masks(bert, file, out=tmp_path / "run", seed=3, max_steps=1, device="cpu")
    cut = prunecli.apply_masks(run.out, out=tmp_path / "cut").out
    seen = []

    def spy(*words: Any, **more: Any) -> Any:
        seen.append(words[5])
        return load_split(*words, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prunecli.operations.evaluate.load_split", spy)
        for folder, seed in ((run.out, None), (cut, None), (bert, None), (run.out, 7)):
            prunecli.evaluate(folder, file, seed=seed, device="cpu", trust_remote_code=True)
    assert seen == [3, 3, 0, 7]
