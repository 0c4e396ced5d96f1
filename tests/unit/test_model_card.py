"""The model card: what it carries over, what it states, and a snippet that runs as it stands."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from prunecli.config import ApplyMasksConfig
from prunecli.masks import MaskSet, formats
from prunecli.models.pruned import AUTO_CLASSES
from prunecli.operations import apply_masks
from tests import tiny

UNIFORM = MaskSet({"ffn_int": np.array([[1] * 10 + [0] * 38] * 3, dtype=np.float32)})
UNEVEN = MaskSet({"head": np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32)})
CARD = """---
license: cc-by-sa-4.0
language: [en]
base_model: google-bert/bert-base-uncased
model-index: [{name: other}]
---
# The source
"""


def card_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def front_of(folder: Path) -> dict[str, Any]:
    """Return the card's front matter."""
    front: dict[str, Any] = yaml.safe_load(card_of(folder).split("---\n")[1])
    return front


def copy_of(folder: Path, target: Path, card: str) -> Path:
    """Copy a checkpoint and give it a card."""
    shutil.copytree(folder, target)
    (target / "README.md").write_text(card, encoding="utf-8")
    return target


@pytest.fixture
def run(bert: Path, tmp_path: Path) -> Path:
    """Return a run folder of `train-masks` with made-up results."""
    folder = tmp_path / "run"
    copy_of(bert, folder / "model", CARD)
    formats.write(UNEVEN, tiny.sizes(bert), folder)
    result = {
        "model": "acme/bert-qqp", "task": "qqp", "metric": "accuracy", "tokens": 30,
        "dense": {"accuracy": 0.9, "f1": 0.85}, "masked": {"accuracy": 0.875, "f1": 0.8125},
    }  # fmt: skip
    record = {"command": "prunecli train-masks acme/bert-qqp qqp", "config": {"text_columns": None}}
    (folder / "run.json").write_text(json.dumps({**record, "result": result}))
    return folder


def apply(source: Path, out: Path, **options: Any) -> Path:
    apply_masks.run(ApplyMasksConfig.of({"source": source, "out": out, **options}))
    return out


def run_snippet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute the card's Python where the folder stands, and return its variables."""
    found = re.search(r"```python\n(.*?)```", card_of(folder), re.DOTALL)
    assert found
    monkeypatch.chdir(folder.parent)
    variables: dict[str, Any] = {}
    exec(compile(found[1], "README.md", "exec"), variables)
    return variables


def test_license_language_and_base_model_are_carried_over(bert: Path, tmp_path: Path) -> None:
    front = front_of(tiny.cut(copy_of(bert, tmp_path / "source", CARD), UNIFORM, tmp_path / "out"))
    assert (front["license"], front["language"]) == ("cc-by-sa-4.0", ["en"])
    assert front["base_model"] == "google-bert/bert-base-uncased"
    assert "model-index" not in front, "the source's numbers are not the pruned model's"


@pytest.mark.parametrize(
    "card",
    ["# No front matter\n", "---\nlicense: [broken\n---\n", "---\njust words\n---\n", "---\nlicense: mit\n"],
)
def test_a_card_without_usable_front_matter_is_no_error(card: str, bert: Path, tmp_path: Path) -> None:
    front = front_of(tiny.cut(copy_of(bert, tmp_path / "source", card), UNIFORM, tmp_path / "out"))
    assert front["pipeline_tag"] == "text-classification"
    assert "license" not in front


@pytest.mark.parametrize(("masks", "code"), [(UNIFORM, False), (UNEVEN, True)])
def test_remote_code_is_named_only_where_there_is_some(
    masks: MaskSet, code: bool, bert: Path, tmp_path: Path
) -> None:
    out = tiny.cut(bert, masks, tmp_path / "out")
    assert ("trust_remote_code=True" in card_of(out)) == code
    assert ("custom_code" in front_of(out)["tags"]) == code


@pytest.mark.parametrize("masks", [UNIFORM, UNEVEN], ids=["native", "shipped"])
@pytest.mark.parametrize("head", AUTO_CLASSES)
def test_the_snippet_runs(
    head: str,
    masks: MaskSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tiny.save_tiny(tmp_path / "source", "bert", head)
    variables = run_snippet(tiny.cut(source, masks, tmp_path / head), monkeypatch)
    assert type(variables["model"]).__name__ == f"{'' if masks is UNIFORM else 'Pruned'}Bert{head}"
    assert type(variables["tokenizer"]).__name__ == "BertTokenizer"
    assert "[y/N]" not in capsys.readouterr().out, "transformers asks nothing"


def test_the_snippet_prints_a_score_for_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tiny.save_tiny(tmp_path / "source", "distilbert", num_labels=1, problem_type="regression")
    run_snippet(tiny.cut(source, UNIFORM, tmp_path / "out"), monkeypatch)
    assert np.isfinite(float(capsys.readouterr().out))


def test_the_snippet_prints_all_labels_that_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    several = {"num_labels": 3, "problem_type": "multi_label_classification"}
    source = tiny.save_tiny(tmp_path / "source", "bert", **several)
    variables = run_snippet(tiny.cut(source, UNIFORM, tmp_path / "out"), monkeypatch)
    wanted = [f"LABEL_{number}" for number in range(3) if variables["output"].logits[0, number] > 0]
    assert capsys.readouterr().out == f"{wanted}\n"


def test_a_run_gives_metrics_base_model_and_commands(run: Path, tmp_path: Path) -> None:
    out = apply(run, tmp_path / "pruned-qqp")
    evaluated = {
        (one.dataset_config, one.metric_type): one.metric_value
        for one in ModelCard(card_of(out)).data.eval_results
    }
    assert evaluated == {("qqp", "accuracy"): 0.875, ("qqp", "f1"): 0.8125}
    assert (front_of(out)["base_model"], front_of(out)["license"]) == ("acme/bert-qqp", "cc-by-sa-4.0")
    assert "| accuracy on qqp validation | 0.9000 | 0.8750 | |" in card_of(out)
    assert "prunecli train-masks acme/bert-qqp qqp\n" in card_of(out)
    assert f"prunecli verify-automodel pruned-qqp --against {run}\n" in card_of(out)


def test_a_pair_task_has_a_pair_as_example(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = run_snippet(apply(run, tmp_path / "pair"), monkeypatch)
    assert variables["inputs"]["token_type_ids"].max() == 1
    assert capsys.readouterr().out.strip() in {"LABEL_0", "LABEL_1", "LABEL_2"}


@pytest.mark.parametrize("options", [{"round_to": 2}, {"masks": "other"}])
def test_metrics_of_a_run_are_not_claimed_for_other_masks(
    options: dict[str, Any], run: Path, tmp_path: Path
) -> None:
    if "masks" in options:
        options = {"masks": tmp_path / "other"}
        options["masks"].mkdir()
        formats.write(UNIFORM, tiny.sizes(run / "model"), options["masks"])
    out = apply(run, tmp_path / "out", **options)
    assert "model-index" not in front_of(out)
    assert "0.8750" not in card_of(out)


def test_a_cut_vocabulary_is_stated_and_claims_no_metrics(run: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("the film was good\nthe film was bad")
    out = apply(run, tmp_path / "out", prune_vocab=tmp_path / "texts.txt")
    rows = json.loads((out / "config.json").read_text())["vocab_size"]
    assert f"| tokens of the vocabulary | 100 | {rows} | {rows}.0% |" in card_of(out)
    assert "`kept_tokens.safetensors`" in card_of(out)
    assert "model-index" not in front_of(out) and "0.8750" not in card_of(out)


def test_the_shapes_are_those_of_the_file(bert: Path, tmp_path: Path) -> None:
    card = card_of(tiny.cut(bert, UNEVEN, tmp_path / "out"))
    assert "| 1 | 1 of 4 | 8 x 32 | 32 x 8 | 48 of 48 | 48 x 32 | 32 x 48 |" in card
    assert "| 2 | 0 of 4 | 0 x 32 | 32 x 0 | 48 of 48 | 48 x 32 | 32 x 48 |" in card
