"""Every kind of task on data of one's own: learn masks, cut, verify; nothing but the columns says the kind."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prunecli
from prunecli.errors import InputError
from tests import tiny

Rows = list[dict[str, Any]]
RANDOM = np.random.default_rng(0)
FAST: dict[str, Any] = {
    "max_steps": 3, "batch_size": 8, "device": "cpu", "learn_masks": ("head", "ffn_int"), "max_length": 32,
}  # fmt: skip


def words(count: int) -> list[str]:
    """Return some words that the tiny tokenizers know."""
    return [str(word) for word in RANDOM.choice(tiny.WORDS, count)]


def text() -> str:
    """Return a text of 3 to 9 words."""
    return " ".join(words(int(RANDOM.integers(3, 10))))


TAGS = {"monday": "B-DAY", "film": "B-WORK", "it": "I-WORK"}


def tagged(tokens: list[str]) -> dict[str, Any]:
    """Return words with their tags."""
    return {"tokens": tokens, "tags": [TAGS.get(token, "O") for token in tokens]}


def answered(context: str) -> dict[str, Any]:
    """Return a question whose answer is the context's second word."""
    word = context.split()[1]
    answers = {"text": [word], "answer_start": [context.index(" ") + 1]}
    return {"question": "was it good", "context": context, "answers": answers}


NUMBERS = range(30)
# Rows of each kind, the head that they need, and what is measured; every label occurs in the first rows.
KINDS: dict[str, tuple[Rows, str, set[str]]] = {
    "classification": (
        [{"text": text(), "label": ("no", "yes")[number % 2]} for number in NUMBERS],
        "ForSequenceClassification", {"accuracy"},
    ),
    "regression": (
        [{"text": text(), "label": number / 7} for number in NUMBERS],
        "ForSequenceClassification", {"spearman", "pearson"},
    ),
    "multi-label": (
        [{"text": text(), "labels": ["dull", "long", "loud"][: number % 4]} for number in NUMBERS],
        "ForSequenceClassification", {"f1_micro", "f1_macro"},
    ),
    "token-classification": (
        [tagged([*words(number % 5 + 1), "film", "it", "monday"]) for number in NUMBERS],
        "ForTokenClassification", {"f1", "accuracy"},
    ),
    "question-answering": (
        [answered(text()) for number in NUMBERS], "ForQuestionAnswering", {"f1", "exact_match"},
    ),
    "multiple-choice": (
        [{"question": text(), "choices": [text(), text(), text()], "label": number % 3} for number in NUMBERS],
        "ForMultipleChoice", {"accuracy"},
    ),
    "masked-lm": ([{"text": text()} for number in NUMBERS], "ForMaskedLM", {"accuracy", "perplexity"}),
}  # fmt: skip


def written(path: Path, rows: Rows) -> str:
    """Write rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def asked(name: str) -> dict[str, Any]:
    """Return what has to be said of a kind: texts without labels could be for anything."""
    return {"task_kind": name} if name == "masked-lm" else {}


# Tokens and choices are fed in ways of their own, so a second family has them too.
CASES = [*((name, "bert") for name in KINDS), *((name, "roberta") for name in list(KINDS)[3:6:2])]


@pytest.mark.parametrize(("name", "model_type"), CASES)
def test_masks_are_learned_cut_and_proven(
    name: str, model_type: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    rows, head, metrics = KINDS[name]
    source = tiny_checkpoint(model_type, "Model")
    data = written(tmp_path / "rows.jsonl", rows)
    run = prunecli.train_masks(source, data, out=tmp_path / "run", **FAST, **asked(name))
    assert (run.dense, set(run.masked)) == (None, metrics)
    assert all(math.isfinite(value) for value in run.masked.values())
    cut = prunecli.apply_masks(run.out, out=tmp_path / "cut", native="never")
    verdict = prunecli.verify_automodel(cut.out, against=run.out)
    assert verdict.passed, [finding for finding in verdict.findings if finding.status == "fail"]
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    assert config["architectures"] == [f"Pruned{tiny.row(model_type).stem}{head}"]
    for folder in (run.out, cut.out):  # the masked and the cut model score as the training said
        scored = prunecli.evaluate(folder, data, device="cpu", **asked(name))
        assert (scored.kind, scored.rows, scored.max_length) == (name, 3, FAST["max_length"])
        assert scored.metrics == pytest.approx(run.masked, abs=1e-4)


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("classification", "multi-label")])
def test_the_plan_says_which_kind_was_told_from_the_columns(
    name: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    data = written(tmp_path / "rows.jsonl", KINDS[name][0])
    out = {"out": tmp_path / "run", "dry_run": True}
    plan = prunecli.train_masks(tiny_checkpoint("bert", "Model"), data, **out, **asked(name))
    assert (plan.kind, plan.new_head) == (name, True)


def test_a_head_that_is_there_is_measured_before(
    tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    """The same masked words are asked of the dense and of the masked model."""
    data = written(tmp_path / "rows.jsonl", KINDS["masked-lm"][0])
    still = {**FAST, "max_steps": 1, "mask_init": "open", "freeze": True, "masks_lr": 0.0}
    source = tiny_checkpoint("bert", "ForMaskedLM")
    run = prunecli.train_masks(source, data, task_kind="masked-lm", out=tmp_path / "run", **still)
    assert run.masked == pytest.approx(run.dense)
    assert run.density == {"head": 1.0, "ffn_int": 1.0}


def test_an_interrupted_masked_lm_ends_with_the_same_masks(
    tiny_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunecli.config import TrainMasksConfig
    from prunecli.operations import train_masks
    from prunecli.training import arguments

    monkeypatch.setattr(arguments, "SAVE_EVERY", 3)
    data = written(tmp_path / "rows.jsonl", KINDS["masked-lm"][0])
    options = {
        **FAST, "model": str(tiny_checkpoint("bert", "ForMaskedLM")), "task": data, "max_steps": 7,
        "task_kind": "masked-lm", "lr": 1e-2,
    }  # fmt: skip

    def stop(label: str, done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_masks.run(TrainMasksConfig.of({**options, "out": tmp_path / "a"}), stop)
    for name, more in (("a", {"resume": True}), ("b", {})):
        config = TrainMasksConfig.of({**options, **more, "out": tmp_path / name})
        train_masks.run(config, lambda label, done, total: None)
    files = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_a_head_of_another_size_is_refused(bert: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "rows.jsonl", KINDS["classification"][0])
    with pytest.raises(InputError, match=r"has 3 labels, task rows needs 2"):
        prunecli.train_masks(bert, data, out=tmp_path / "run", **FAST)
    assert not (tmp_path / "run").exists()
