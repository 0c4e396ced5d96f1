"""Whose Python runs: none that the caller did not allow, and what was allowed travels along."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from prunecli import AutoModelForMaskedSeqModeling
from prunecli.errors import InputError, UnsupportedModelError
from tests import tiny
from tests.masked_seq.conftest import Save, inputs, run_child


def test_a_checkpoint_cannot_ask_for_code(classes: Any, tmp_path: Path) -> None:
    """Neither the folder's own file nor anything that its config names is run."""
    classes.save_pretrained(tmp_path)
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'w')\n"
    (tmp_path / "modeling_masked_seq.py").write_text(evil)
    (tmp_path / "evil.py").write_text(evil)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"trust_remote_code": True, "attn_implementation": "evil/kernel"}
    config["base_model_config"] |= {
        "trust_remote_code": True, "_attn_implementation": "evil/kernel",
        "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)
    assert torch.equal(again(**inputs(again)).logits, classes(**inputs(again)).logits)
    assert not ran.exists()


CODE = """
from pathlib import Path
from transformers import BertConfig, BertModel
Path({ran!r}).touch()


class OwnConfig(BertConfig):
    model_type = "own_bert"


class OwnModel(BertModel):
    config_class = OwnConfig
"""


@pytest.fixture
def own(tiny_checkpoint: Save, tmp_path: Path) -> Path:
    """Return a folder with an encoder that needs its own Python, which notes that it ran."""
    folder = Path(shutil.copytree(tiny_checkpoint("bert", "Model"), tmp_path / "own"))
    config = json.loads((folder / "config.json").read_text())
    code = {"AutoConfig": "own_bert.OwnConfig", "AutoModel": "own_bert.OwnModel"}
    config |= {"model_type": "own_bert", "auto_map": code, "trust_remote_code": True}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own_bert.py").write_text(CODE.format(ran=str(tmp_path / "ran")))
    return folder


def test_an_encoders_own_code_runs_if_the_caller_says_so_and_travels_along(
    own: Path, tiny_checkpoint: Save, tmp_path: Path
) -> None:
    load = AutoModelForMaskedSeqModeling.from_pretrained
    with pytest.raises(UnsupportedModelError, match="encoder 'own_bert' needs Python"):
        load(own, num_labels=2)
    assert not (tmp_path / "ran").exists()

    model = load(own, num_labels=2, trust_remote_code=True)
    stock = AutoModel.from_pretrained(tiny_checkpoint("bert", "Model")).eval()
    given = tiny.tiny_inputs(model)
    assert torch.equal(model.base_model(**given).last_hidden_state, stock(**given).last_hidden_state)
    saved = tmp_path / "saved"
    model.save_pretrained(saved)
    shutil.rmtree(own)
    (tmp_path / "ran").unlink()
    with pytest.raises(UnsupportedModelError, match="encoder 'own_bert' needs Python"):
        load(saved)
    assert not (tmp_path / "ran").exists()
    assert torch.equal(load(saved, trust_remote_code=True)(**given).logits, model(**given).logits)

    save_file(given, saved / "inputs.st")
    run_child([str(saved)], tmp_path)
    assert torch.allclose(load_file(saved / "outputs.st")["logits"], model(**given).logits, atol=1e-6)
    assert (saved / "again" / "own_bert.py").read_bytes() == (saved / "own_bert.py").read_bytes()


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "mpnet"])
def test_a_pruned_encoder_carries_its_file_into_the_saved_folder(
    model_type: str, tiny_checkpoint: Save, tmp_path: Path
) -> None:
    source = tiny_checkpoint(model_type, "Model")
    masks = tiny.random_masks(tiny.sizes(source), ("head", "ffn_int"), seed=0, empty=True)
    cut = tiny.cut(source, masks, tmp_path / "cut")
    load = AutoModelForMaskedSeqModeling.from_pretrained
    model = load(cut, num_labels=2, trust_remote_code=True)
    given = tiny.tiny_inputs(model)
    wanted = tiny.load(cut, attention=model.base_model.config._attn_implementation)(**given).last_hidden_state
    assert torch.equal(model.base_model(**given).last_hidden_state, wanted)
    saved = tmp_path / "saved"
    model.save_pretrained(saved)
    save_file(given, saved / "inputs.st")
    run_child([str(saved)], tmp_path)
    assert torch.allclose(load_file(saved / "outputs.st")["logits"], model(**given).logits, atol=1e-6)


def test_code_outside_of_the_folder_is_never_run(own: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text((own / "own_bert.py").read_text())
    config = json.loads((own / "config.json").read_text())
    for module in (str(outside.with_suffix("")), "../outside", "other/repo--outside"):
        config["auto_map"] = {"AutoConfig": f"{module}.OwnConfig", "AutoModel": f"{module}.OwnModel"}
        (own / "config.json").write_text(json.dumps(config))
        with pytest.raises(InputError, match="is no class in a file of"):
            AutoModelForMaskedSeqModeling.from_pretrained(own, num_labels=2, trust_remote_code=True)
    assert not (tmp_path / "ran").exists()
