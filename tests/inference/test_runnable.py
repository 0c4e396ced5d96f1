"""What predict loads and what it refuses: heads, runs, foreign code, lengths, devices."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import prunecli
from prunecli.checkpoints.folder import WEIGHTS, read_checkpoint
from prunecli.config import PredictConfig
from prunecli.encoders import for_config
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.inference import runnable
from prunecli.inference.runnable import Runnable, find_device, load_runnable, read_runnable
from prunecli.models import pruned
from prunecli.operations.onnx_folder import put_graph
from tests import tiny

RECORDS = [{"text": "the film was not good"}, {"text": "dull plot"}]


def prepare(path: Path, **options: Any) -> Runnable:
    options = {"checkpoint": path, "device": "cpu", **options}
    return load_runnable(read_runnable(path), PredictConfig.of(options))


def edit(file: Path, **entries: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert, tmp_path / "copy"))


@pytest.fixture
def cut(bert: Path, tmp_path: Path) -> Path:
    masks = tiny.random_masks(for_config(read_checkpoint(bert).config), ("head", "ffn_int"), seed=0)
    return tiny.cut(bert, masks, tmp_path / "cut", native="never")


def test_a_run_folder_has_to_be_cut_first(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="not cut yet") as caught:
        prepare(tmp_path)
    assert f"prunecli apply-masks {tmp_path}" in str(caught.value.fix)


def test_a_checkpoint_without_its_head_is_refused_also_as_a_graph(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    save_file({name: tensor for name, tensor in tensors.items() if "classifier" not in name}, copy / WEIGHTS)
    with pytest.raises(InputError, match=r"tensor classifier\.bias is missing"):
        prepare(copy)
    with pytest.raises(InputError, match=r"tensor classifier\.bias is missing"):
        put_graph(copy, atol=1e-5)


def test_an_unknown_family_without_code_is_refused(copy: Path) -> None:
    edit(copy / "config.json", model_type="mystery")
    with pytest.raises(UnsupportedModelError, match="mystery"):
        prepare(copy)


def test_a_pruned_folder_of_ours_needs_no_flag_and_its_file_is_not_run(cut: Path) -> None:
    model = prepare(cut).model
    assert type(model).__name__ == "PrunedBertForSequenceClassification"
    assert not type(model).__module__.startswith("transformers_modules")


def test_a_changed_modeling_file_needs_the_flag(cut: Path, tmp_path: Path) -> None:
    before = list(prunecli.predict(cut, RECORDS, device="cpu"))
    ran = tmp_path / "ran"
    with (cut / pruned.FILE).open("a") as file:
        file.write(f"\nopen({str(ran)!r}, 'w').close()\n")
    with pytest.raises(InputError, match="carries Python that prunecli did not write") as caught:
        prepare(cut)
    assert "--trust-remote-code" in str(caught.value.fix)
    assert not ran.exists()
    assert list(prunecli.predict(cut, RECORDS, device="cpu", trust_remote_code=True)) == before
    assert ran.exists()


def test_a_family_that_comes_with_its_own_code_needs_the_flag(copy: Path) -> None:
    (copy / "mystery.py").write_text(
        "from transformers import BertConfig, BertForSequenceClassification\n"
        "class MysteryConfig(BertConfig):\n    model_type = 'mystery'\n"
        "class MysteryForSequenceClassification(BertForSequenceClassification):\n    config_class = MysteryConfig\n"
    )
    auto_map = {name: f"mystery.Mystery{name[4:]}" for name in ("AutoConfig",)}
    auto_map["AutoModelForSequenceClassification"] = "mystery.MysteryForSequenceClassification"
    edit(
        copy / "config.json",
        model_type="mystery", architectures=["MysteryForSequenceClassification"], auto_map=auto_map,
    )  # fmt: skip
    with pytest.raises(InputError, match="did not write"):
        prepare(copy)
    assert type(prepare(copy, trust_remote_code=True).model).__name__ == "MysteryForSequenceClassification"


def test_foreign_code_that_breaks_is_bad_input(cut: Path) -> None:
    (cut / pruned.FILE).write_text("raise RuntimeError('on purpose')\n")
    with pytest.raises(InputError, match="its own code: RuntimeError: on purpose"):
        prepare(cut, trust_remote_code=True)


@pytest.mark.parametrize("model_type", ["bert", "roberta", "distilbert"])
def test_the_default_length_is_what_the_model_takes(
    model_type: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny_checkpoint(model_type), tmp_path / "copy"))
    assert prepare(copy).max_length == tiny.TOKENS
    edit(copy / "tokenizer_config.json", model_max_length=int(1e30))
    assert prepare(copy).max_length == tiny.TOKENS  # RoBERTa has two more positions than that
    found = list(prunecli.predict(copy, [{"text": "good " * 200}], device="cpu"))
    assert "label" in found[0]
    edit(copy / "tokenizer_config.json", model_max_length=20)
    assert prepare(copy).max_length == 20


def test_a_length_that_is_too_long_is_reduced_and_said(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(runnable.log, "warning", lambda text, *values: said.append(text % values))
    assert prepare(bert, max_length=32).max_length == 32
    assert said == []
    assert prepare(bert, max_length=999).max_length == tiny.TOKENS
    assert said == [f"--max-length 999 is more than the {tiny.TOKENS} tokens that the model takes"]


def test_a_device_that_is_not_there_is_refused(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for device in ("cuda", "cuda:0", "nowhere"):
        with pytest.raises(InputError, match=f"--device {device}"):
            find_device(device)
    assert find_device("cpu:0") == torch.device("cpu", 0)
    assert prepare(bert, device="auto").model.device.type == "cpu"


def test_half_precision_weights_are_run_in_float32(tiny_checkpoint: Callable[..., Path]) -> None:
    assert prepare(tiny_checkpoint("bert", dtype="float16")).model.dtype == torch.float32


def test_index_tensors_say_nothing_of_the_type_of_the_weights(bert: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert, tmp_path / "half")
    tensors = {name: tensor.half() for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file({**tensors, "columns": torch.arange(3)}, folder / WEIGHTS)
    checkpoint = read_checkpoint(folder)
    assert runnable._dtype(checkpoint, torch.device("cuda"), "auto") == torch.float16
    assert runnable._dtype(checkpoint, torch.device("cpu"), "auto") == torch.float32
