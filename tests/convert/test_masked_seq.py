"""Masked-sequence models through the verbs: irti checkpoints in, folders of ours verified and rewritten."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import prunecli
from prunecli import AutoModelForMaskedSeqModeling
from prunecli.errors import InputError
from tests import tiny
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


def test_an_encoder_has_no_head_for_positions(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no head for positions"):
        prunecli.convert(bert, out=tmp_path / "out", to="masked-seq")
