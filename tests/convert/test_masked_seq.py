"""Masked-sequence models through the verbs: irti checkpoints and encoders in, ours verified and rewritten."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel
from typer.testing import CliRunner

import prunecli
from prunecli import AutoModelForMaskedSeqModeling
from prunecli.cli.app import app
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.models import masked_seq_sources
from tests import tiny
from tests.convert.conftest import Convert
from tests.unit.test_irti_masked_seq import FIXTURE, expected

FAMILIES = ("bert", "modernbert", "xlm-roberta")


def test_an_irti_checkpoint_becomes_ours(tmp_path: Path) -> None:
    source = Path(shutil.copytree(FIXTURE, tmp_path / "source"))
    done = prunecli.convert(source, out=tmp_path / "out")
    assert (done.kind, done.to, done.written) == ("irti-masked-seq", "masked-seq", True)
    given, wanted_BML = expected()
    model = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path / "out")
    assert torch.allclose(model(**given).logits, wanted_BML, atol=1e-6)
    assert prunecli.verify_automodel(tmp_path / "out").passed


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_folder_of_ours_is_verified_and_converted(
    model_type: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    encoder, source = tiny_checkpoint(model_type, "Model"), tmp_path / "source"
    model = AutoModelForMaskedSeqModeling.from_pretrained(encoder, num_labels=3)
    model.save_pretrained(source)
    tiny.tiny_tokenizer(model_type).save_pretrained(source)
    verdict = prunecli.verify_automodel(source)
    assert verdict.passed, [finding for finding in verdict.findings if finding.status == "fail"]
    done = prunecli.convert(source, out=tmp_path / "out")
    assert done.written, [finding for finding in done.findings if finding.status == "fail"]
    before, after = (load_file(folder / "model.safetensors") for folder in (source, tmp_path / "out"))
    assert before.keys() == after.keys()
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == ["MaskedSeqModel"]


@pytest.mark.parametrize(
    ("model_type", "head"),
    [("bert", "ForMaskedLM"), ("modernbert", "Model"), ("xlm-roberta", "ForSequenceClassification")],
)
@torch.no_grad()
def test_a_plain_encoder_gets_a_new_head(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path], convert: Convert
) -> None:
    source = tiny_checkpoint(model_type, head)
    asked = {"to": "masked-seq", "label2id": {"b": 1, "a": 0}, "task": "multiclass", "strict_mlm_check": True}
    model = AutoModelForMaskedSeqModeling.from_pretrained(convert(source, **asked))
    assert (model.config.task, model.config.id2label) == ("multiclass", {0: "a", 1: "b"})
    given = tiny.tiny_inputs(model)
    states_BTH = AutoModel.from_pretrained(source).eval()(**given).last_hidden_state
    assert torch.allclose(model(**given).logits, model.head(states_BTH), atol=1e-6)
    assert 0.015 < model.head[0].weight.std() < 0.025 and not model.head[3].bias.any()
    other = load_file(convert(source, "other", seed=1, **asked) / "model.safetensors")
    assert not torch.equal(other["head.3.weight"], model.head[3].weight)


def test_a_new_head_is_proven_and_named_on_the_command_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["convert", "demo", str(tmp_path / "out"), "--to", "masked-seq", "--num-labels", "3"]
    )
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith(
        "demo is BertForSequenceClassification, bert (stock); it becomes masked-seq\n"
    )
    assert f"Next: prunecli train-masks {tmp_path / 'out'} ROWS.jsonl" in done.stderr
    model = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path / "out", num_labels=3, task="multilabel")
    assert model.config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"to": "masked-seq"}, "needs its labels: --num-labels is None, and 0 have names"),
    ({"to": "masked-seq", "num_labels": 3, "id2label": ["0=a", "1=b"]}, "is 3, and 2 have names"),
    ({"to": "masked-seq", "id2label": ["0=a", "2=b"]}, "each number from 0 a name of its own"),
    ({"to": "masked-seq", "id2label": ["0=a", "1=a"]}, "each number from 0 a name of its own"),
    ({"to": "masked-seq", "id2label": ["0=a"], "label2id": ["b=0"]}, "each number from 0 a name of its own"),
    ({"to": "masked-seq", "label2id": ["0=a"]}, "number 'a' and name '0' are no label"),
    ({"num_labels": 3}, "stock has no head for positions"),
    ({"strict_mlm_check": True}, "stock has no head for positions"),
]


@pytest.mark.parametrize(("asked", "said"), WRONG)
def test_labels_that_make_no_sense_are_refused(asked: dict[str, Any], said: str, bert: Path) -> None:
    with pytest.raises(InputError, match=said):
        prunecli.convert(bert, dry_run=True, **asked)


def test_a_trained_head_takes_new_names_and_nothing_else(convert: Convert) -> None:
    named = convert(FIXTURE, id2label={0: "x", 1: "y", 2: "z"})
    assert json.loads((named / "config.json").read_text())["label2id"] == {"x": 0, "y": 1, "z": 2}
    for source in (FIXTURE, named):
        with pytest.raises(InputError, match="was trained with --num-labels 3, but 4 is asked for"):
            prunecli.convert(source, dry_run=True, num_labels=4)
        with pytest.raises(InputError, match="was trained with --task multilabel"):
            prunecli.convert(source, dry_run=True, task="multiclass")


def test_a_strict_check_is_the_librarys_own(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked_seq_sources, "AutoModelForMaskedLM", SimpleNamespace(_model_mapping={}))
    with pytest.raises(UnsupportedModelError, match="AutoModelForMaskedLM knows no bert"):
        prunecli.convert(bert, dry_run=True, to="masked-seq", num_labels=2, strict_mlm_check=True)


def test_a_model_with_a_head_of_ours_is_no_plain_encoder(convert: Convert, bert: Path) -> None:
    with pytest.raises(InputError, match="is no plain encoder"):
        convert(convert(bert, to="pruning-encoder"), "other", to="masked-seq", num_labels=2)
