"""A saved model comes back as it was, with prunecli and without, and half of one does not."""

import ast
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from prunecli import AutoModelForMaskedSeqModeling
from prunecli.errors import InputError
from prunecli.models import modeling_masked_seq, modeling_pruning_encoder
from tests import tiny
from tests.masked_seq.conftest import FAMILIES, NAMES, Save, inputs, run_child


def test_a_saved_folder_loads_without_prunecli(tiny_checkpoint: Save, tmp_path: Path) -> None:
    wanted, folders = {}, []
    for model_type in FAMILIES:
        source = tiny_checkpoint(model_type, "Model")
        model = AutoModelForMaskedSeqModeling.from_pretrained(source, id2label=NAMES, task="multiclass")
        folder = tmp_path / model_type
        model.save_pretrained(folder)
        save_file(inputs(model), folder / "inputs.st")
        wanted[folder] = model(**inputs(model)).logits
        folders.append(str(folder))
    run_child(folders, tmp_path)
    for folder, logits in wanted.items():
        assert torch.allclose(load_file(folder / "outputs.st")["logits"], logits, atol=1e-6), folder.name
        for name in ("model.safetensors", "modeling_masked_seq.py"):
            assert (folder / "again" / name).read_bytes() == (folder / name).read_bytes(), folder.name
        again = json.loads((folder / "again" / "config.json").read_text())
        assert again == json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_a_saved_folder_loads_as_it_was(task: str, tiny_checkpoint: Save, tmp_path: Path) -> None:
    source = tiny_checkpoint("bert", "Model")
    model = AutoModelForMaskedSeqModeling.from_pretrained(
        source, task=task, label2id={"b": 1, "a": 0}, base_model_attr_name="Text Encoder"
    )
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)
    assert (again.config.task, again.config.id2label) == (task, {0: "a", 1: "b"})
    assert torch.equal(again(**inputs(model)).logits, model(**inputs(model)).logits)
    assert any(name.startswith("text_encoder.") for name in load_file(tmp_path / "model.safetensors"))
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json", "model.safetensors", *modeling_masked_seq.FILES,
    }  # fmt: skip
    assert again.base_model is again.text_encoder


def test_a_reload_does_not_swallow_what_is_asked_for(classes: Any, tmp_path: Path) -> None:
    classes.save_pretrained(tmp_path)
    load = AutoModelForMaskedSeqModeling.from_pretrained
    for asked in ({"num_labels": 7}, {"task": "multilabel"}, {"base_model_attr_name": "other"}):
        with pytest.raises(InputError, match=f"was saved with {next(iter(asked))}"):
            load(tmp_path, **asked)
    with pytest.raises(InputError, match="num_labels 3, but 2"):
        load(tmp_path, id2label={0: "a", 1: "b"})
    assert load(tmp_path, num_labels=3, task="multiclass", id2label=NAMES).config.label2id["date"] == 2


def test_half_a_checkpoint_is_refused(classes: Any, tmp_path: Path) -> None:
    classes.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["head.3.bias"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"tensor head\.3\.bias is missing"):
        AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_resized_embeddings_survive_saving(model_type: str, tiny_checkpoint: Save, tmp_path: Path) -> None:
    source = tiny_checkpoint(model_type, "Model")
    model = AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=2)
    before = model.get_input_embeddings().weight.clone()
    embeddings = model.resize_token_embeddings(tiny.VOCABULARY + 7)
    assert embeddings is model.get_input_embeddings() is model.base_model.get_input_embeddings()
    assert torch.equal(embeddings.weight[: tiny.VOCABULARY], before)
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)
    assert again.config.vocab_size == again.base_model.config.vocab_size == tiny.VOCABULARY + 7
    given = {"input_ids": torch.full((1, 3), tiny.VOCABULARY + 6)}
    assert torch.equal(again(**given).logits, model(**given).logits)


def test_a_number_type_and_an_attention_can_be_asked_for(tiny_checkpoint: Save, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"dtype": torch.bfloat16, "attn_implementation": "eager"}
    source = tiny_checkpoint("bert", "Model")
    model = AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=2, **asked)
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path, **asked)
    for found in (model, again):
        assert {parameter.dtype for parameter in found.parameters()} == {torch.bfloat16}
        assert found.base_model.config._attn_implementation == "eager"
    assert torch.equal(model(**inputs(model)).logits, again(**inputs(model)).logits)


def test_a_half_precision_encoder_gets_its_head_in_float32(tiny_checkpoint: Save) -> None:
    source = tiny_checkpoint("bert", "Model", "float16")
    model = AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=2)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_nothing_is_said_that_is_not_needed(
    classes: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)
    assert caplog.records == []


@pytest.mark.parametrize("module", [modeling_masked_seq, modeling_pruning_encoder])
def test_the_files_that_travel_need_only_torch_and_transformers(module: Any) -> None:
    """The first imports all the others itself: transformers 4 copies no files that these import."""
    first, *others = (_imported(Path(module.__file__).with_name(file)) for file in module.FILES)
    siblings = {file.removesuffix(".py") for file in module.FILES[1:]}
    assert siblings <= first <= {"torch", "transformers", *siblings}
    assert set().union(*others) == {"torch", "transformers"}


def _imported(file: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(str(node.module))
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
