"""Checkpoints of irti_custom: read as they are, without the defects of where they come from.

I1 to I10 are these defects; those of inputs and losses (I4, I5, I7, I8) are no matter of files, and stand in
`tests/masked_seq/` too.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from prunecli import AutoModelForMaskedSeqModeling
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.kinds import irti_masked_seq
from prunecli.errors import InputError, PruneError, UnsupportedModelError
from tests import tiny

FIXTURE = Path(__file__).parent.parent / "fixtures" / "irti_masked_seq"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the fixture that may be changed."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "irti"))


def change(folder: Path, **changes: Any) -> None:
    """Write entries into a folder's config; None removes one."""
    file = folder / "config.json"
    entries = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in entries.items() if value is not None}))


def change_tensors(folder: Path, **changes: torch.Tensor | None) -> None:
    """Write tensors into a folder's weights; None removes one."""
    found: dict[str, Any] = {**load_file(folder / "model.safetensors"), **changes}
    kept = {name: tensor for name, tensor in found.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors")


def load(folder: Path, **options: Any) -> Any:
    """Load a folder with our class."""
    return AutoModelForMaskedSeqModeling.from_pretrained(folder, **options)


def expected() -> tuple[dict[str, Any], torch.Tensor]:
    """Return inputs and logits."""
    found = load_file(FIXTURE / "expected.safetensors")
    return found, found.pop("logits")


def test_logits_are_those_expected_and_survive_saving(tmp_path: Path) -> None:
    given, wanted_BML = expected()
    model = load(FIXTURE)
    assert torch.allclose(model(**given).logits, wanted_BML, atol=1e-6)
    assert (model.config.task, model.config.id2label) == ("multilabel", {0: "person", 1: "place", 2: "date"})
    model.save_pretrained(tmp_path)
    assert torch.allclose(load(tmp_path)(**given).logits, wanted_BML, atol=1e-6)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["auto_map"]["AutoModel"] == "modeling_masked_seq.MaskedSeqModel"
    assert not {"max_length", "trust_remote_code"} & {*config, *config["base_model_config"]}


def test_the_reader_says_config_and_tensors_without_torch() -> None:
    checkpoint = read_checkpoint(FIXTURE)
    assert irti_masked_seq.recognises(checkpoint.config)
    assert not irti_masked_seq.recognises({"model_type": "bert"})
    found = irti_masked_seq.read(checkpoint)
    assert found.config["base_model_config"]["model_type"] == "bert"
    assert found.tensors.keys() == load(FIXTURE).state_dict().keys()
    assert all(entry is checkpoint.tensors[name] for name, entry in found.tensors.items())


def test_i1_a_reload_does_not_swallow_what_is_asked_for() -> None:
    with pytest.raises(InputError, match="num_labels 3, but 7 is asked for"):
        load(FIXTURE, num_labels=7)
    with pytest.raises(InputError, match="task 'multilabel', but 'multiclass' is asked for"):
        load(FIXTURE, task="multiclass")
    names = {0: "x", 1: "y", 2: "z"}
    assert load(FIXTURE, id2label=names).config.id2label == names


def test_i2_a_local_encoder_is_no_saved_model(bert: Path) -> None:
    assert load(bert, num_labels=2).config.base_model_config["vocab_size"] == tiny.VOCABULARY


def test_i3_nothing_is_looked_for_where_it_was_trained(folder: Path) -> None:
    change(folder, base_model_name_or_path="/gone/with/the/training/machine")
    given, wanted_BML = expected()
    assert torch.allclose(load(folder)(**given).logits, wanted_BML, atol=1e-6)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_i4_all_labels_ignored_cost_nothing(task: str, folder: Path) -> None:
    change(folder, task=task)
    given, wanted_BML = expected()
    shape = wanted_BML.shape if task == "multilabel" else wanted_BML.shape[:2]
    assert load(folder)(**given, labels=torch.full(shape, -100)).loss.item() == 0


def test_i5_ignored_in_another_channel_is_no_target() -> None:
    given, wanted_BML = expected()
    labels_BML = torch.zeros_like(wanted_BML)
    labels_BML[0, 1, 2] = -100
    with pytest.raises(ValueError, match=r"hold -100, .* or are -100 in channel 0"):
        load(FIXTURE)(**given, labels=labels_BML)


def test_i6_resized_embeddings_survive_saving(tmp_path: Path) -> None:
    model = load(FIXTURE)
    model.resize_token_embeddings(30)
    model.save_pretrained(tmp_path)
    assert load(tmp_path).get_input_embeddings().num_embeddings == 30


def test_i7_there_are_input_embeddings() -> None:
    model = load(FIXTURE)
    assert model.get_input_embeddings() is model.bert.embeddings.word_embeddings


def test_i8_no_positions_padding_and_tuples() -> None:
    model, (given, wanted_BML) = load(FIXTURE), expected()
    assert model(**{**given, "mask_indices": torch.zeros(2, 0, dtype=torch.long)}).logits.shape == (2, 0, 3)
    (logits,) = model(**given, return_dict=False)
    assert torch.allclose(logits, wanted_BML, atol=1e-6)
    given["mask_indices"][1, 1] = 7
    with pytest.raises(ValueError, match="padding"):
        model(**given, labels=torch.zeros(2, 3, 3))


def test_i9_names_of_labels_that_the_head_has_not(folder: Path) -> None:
    change(folder, id2label={"0": "person", "4": "date"}, label2id={"person": 0, "date": 4})
    with pytest.raises(InputError, match="names the ids 0, 4, but the head has 3 outputs"):
        load(folder)
    assert load(folder, id2label={0: "a", 1: "b", 2: "c"}).config.num_labels == 3


def test_i10_a_checkpoint_cannot_run_code(folder: Path, tmp_path: Path) -> None:
    ran, base = tmp_path / "ran", tmp_path / "base"
    base.mkdir()
    (base / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n")
    code = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    (base / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": code}))
    config = json.loads((folder / "config.json").read_text())["base_model_config"]
    asked: dict[str, Any] = {
        "trust_remote_code": True,
        "base_model_name_or_path": str(base),
        "auto_map": code,
    }
    change(folder, **asked, base_model_config={**config, "auto_map": code, "trust_remote_code": True})
    given, wanted_BML = expected()
    assert torch.allclose(load(folder)(**given).logits, wanted_BML, atol=1e-6)
    for entries in (None, {}, {"model_type": "evil", "auto_map": code}):
        change(folder, **asked, base_model_config=entries)
        with pytest.raises(PruneError):
            load(folder)
    assert not ran.exists()


def test_a_lost_config_of_the_encoder_can_be_given(folder: Path) -> None:
    given = json.loads((folder / "config.json").read_text())["base_model_config"]
    change(folder, base_model_config={})
    checkpoint = read_checkpoint(folder)
    with pytest.raises(InputError, match="no base_model_config") as raised:
        irti_masked_seq.read(checkpoint)
    assert "--base" in str(raised.value.fix)
    assert irti_masked_seq.read(checkpoint, given).config["base_model_config"]["vocab_size"] == 24


def test_an_encoder_that_transformers_does_not_know_is_refused(folder: Path) -> None:
    change(folder, base_model_config={"model_type": "own_bert"}, base_model_attr_name="bert")
    with pytest.raises(UnsupportedModelError, match="knows no encoder 'own_bert'"):
        load(folder)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"head.3.bias": None}, r"tensor head\.3\.bias is missing"),
        ({"head.2.weight": torch.ones(9)}, r"tensor head\.2\.weight has shape \[9\]"),
        ({"head.5.weight": torch.ones(9)}, r"tensor head\.5\.weight is none of the head's"),
        ({"other.weight": torch.ones(9)}, r"tensor other\.weight belongs neither to the encoder \(bert\.\)"),
        ({"bert.encoder.layer.0.output.dense.bias": None}, r"layer\.0\.output\.dense\.bias is missing"),
        (
            {"bert.embeddings.word_embeddings.weight": torch.ones(23, 8)},
            r"shape \[23, 8\], config.json says \[24, 8\]",
        ),
        (
            {"head.0.weight": torch.ones(9, 9), "head.0.bias": torch.ones(9)},
            r"head\.2\.weight has shape \[8\]",
        ),
    ],
)
def test_half_a_checkpoint_is_refused(
    tensors: dict[str, torch.Tensor | None], message: str, folder: Path
) -> None:
    change_tensors(folder, **tensors)
    with pytest.raises(InputError, match=message):
        load(folder)


def test_a_head_of_another_width_than_the_encoder_is_refused(folder: Path) -> None:
    wide = {
        "head.0.weight": torch.ones(9, 9), "head.0.bias": torch.ones(9), "head.2.weight": torch.ones(9),
        "head.2.bias": torch.ones(9), "head.3.weight": torch.ones(3, 9),
    }  # fmt: skip
    change_tensors(folder, **wide)
    with pytest.raises(InputError, match=r"has shape \[9(, 9)?\], config.json says \[8(, 8)?\]"):
        load(folder)


def test_a_task_that_nobody_knows_is_refused(folder: Path) -> None:
    change(folder, task="regression")
    with pytest.raises(InputError, match="task 'regression' is neither"):
        load(folder)
