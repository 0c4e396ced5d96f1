"""What sentence-transformers keeps around an encoder survives a cut; a stranger's choice of code does not."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from prunecli.checkpoints.folder import files_in, read_checkpoint
from prunecli.checkpoints.sentence_files import read_sentence_files
from prunecli.config import VerifyConfig
from prunecli.errors import InputError
from prunecli.masks import formats
from prunecli.masks.units import GROUPS
from prunecli.operations import verify_automodel
from prunecli.verification.static import check_manifest
from tests import tiny

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    {"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
]
FILES = {
    "config_sentence_transformers.json": {"prompts": {"query": "find: "}, "similarity_fn_name": "cosine"},
    "sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": False},
    "1_Pooling/config.json": {"word_embedding_dimension": tiny.HIDDEN, "pooling_mode_mean_tokens": True},
    "2_Dense/config.json": {
        "in_features": tiny.HIDDEN, "out_features": 16, "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    },
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder as sentence-transformers 2 to 5 wrote it: pooling, a dense layer, normalisation."""
    folder = tiny.save_tiny(tmp_path / "source", "bert", "Model")
    for name, value in FILES.items():
        write(folder, name, value)
    write(folder, "modules.json", MODULES)
    weights = {
        "linear.weight": np.ones((16, tiny.HIDDEN), np.float32),
        "linear.bias": np.ones(16, np.float32),
    }
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    (folder / "3_Normalize").mkdir()
    return folder


def write(folder: Path, name: str, value: Any) -> None:
    """Write a JSON file."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(value))


def cut(source: Path, out: Path, native: str = "auto") -> Path:
    """Cut units of all groups, unevenly."""
    return tiny.cut(source, tiny.random_masks(tiny.sizes(source), GROUPS, seed=0), out, native)


def test_every_file_travels_with_its_content(source: Path, tmp_path: Path) -> None:
    pruned = cut(source, tmp_path / "cut")
    assert json.loads((pruned / "modules.json").read_text()) == MODULES
    assert {name: json.loads((pruned / name).read_text()) for name in FILES} == FILES
    weights = "2_Dense/model.safetensors"
    assert (pruned / weights).read_bytes() == (source / weights).read_bytes()


def test_the_result_and_the_record_name_the_files_of_sub_folders(source: Path, tmp_path: Path) -> None:
    record = json.loads((cut(source, tmp_path / "cut") / "prunecli.json").read_text())
    assert set(record["result"]["files"]) == {*record["sha256"], "prunecli.json"}
    assert "2_Dense/model.safetensors" in record["sha256"]
    assert sorted(record["result"]["files"]) == files_in(tmp_path / "cut")


def test_it_is_verified_with_its_sub_folders(source: Path, tmp_path: Path) -> None:
    pruned = cut(source, tmp_path / "cut")
    masks = tmp_path / "cut-masks" / formats.FILE
    verdict = verify_automodel.run(VerifyConfig.of({"checkpoint": pruned, "against": source, "masks": masks}))
    assert verdict.passed, verdict.findings


@pytest.mark.parametrize(
    ("name", "said"), [("1_Pooling/config.json", "was changed"), ("1_Pooling/extra.json", "was added")]
)
def test_a_change_in_a_sub_folder_is_found(name: str, said: str, source: Path, tmp_path: Path) -> None:
    pruned = cut(source, tmp_path / "cut")
    assert check_manifest(read_checkpoint(pruned)).status == "pass"
    (pruned / name).write_text("{}")
    assert f"{name} {said}" == check_manifest(read_checkpoint(pruned)).detail


def test_the_card_says_how_to_load_it(source: Path, tmp_path: Path) -> None:
    card = (cut(source, tmp_path / "cut") / "README.md").read_text()
    assert "library_name: sentence-transformers" in card
    assert 'SentenceTransformer("cut", trust_remote_code=True)' in card


def test_a_plain_folder_has_nothing_of_it(bert: Path, tmp_path: Path) -> None:
    assert read_sentence_files(read_checkpoint(bert)).names == []
    assert "sentence-transformers" not in (cut(bert, tmp_path / "cut") / "README.md").read_text()


def test_code_and_pickles_of_the_source_stay_behind(source: Path, tmp_path: Path) -> None:
    (source / "modeling_evil.py").write_text("raise SystemExit")
    (source / "1_Pooling" / "evil.py").write_text("raise SystemExit")
    (source / "2_Dense" / "pytorch_model.bin").write_bytes(b"evil")
    assert not [name for name in files_in(cut(source, tmp_path / "cut")) if "evil" in name or ".bin" in name]


def test_keys_that_are_no_checkpoints_to_decide_stay_behind(source: Path, tmp_path: Path) -> None:
    evil = {"tokenizer_name_or_path": "evil/one", "model_args": {"trust_remote_code": True, "low": 1}}
    write(source, "sentence_bert_config.json", {"max_seq_length": 32, **evil})
    found = json.loads((cut(source, tmp_path / "cut") / "sentence_bert_config.json").read_text())
    assert found == {"max_seq_length": 32, "model_args": {"low": 1}}


@pytest.mark.parametrize(
    "kind",
    ["evil.Pooling", "someone/repo--evil.Pooling", "sentence_transformers.models.Router", "os.system", 7],
)
def test_a_module_of_another_package_is_refused(kind: Any, source: Path, tmp_path: Path) -> None:
    write(source, "modules.json", [MODULES[0], {**MODULES[1], "type": kind}])
    with pytest.raises(InputError, match=r"modules\.json"):
        cut(source, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize("path", ["../outside", "/etc", "a/b", ".."])
def test_a_module_folder_that_leads_out_is_refused(path: str, source: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside/config.json", {})
    (source / "a" / "b").mkdir(parents=True)
    write(source, "modules.json", [MODULES[0], {**MODULES[1], "path": path}])
    with pytest.raises(InputError):
        cut(source, tmp_path / "cut")


def test_a_linked_sub_folder_that_leads_out_is_refused(source: Path, tmp_path: Path) -> None:
    shutil.move(source / "1_Pooling", tmp_path / "elsewhere")
    (source / "1_Pooling").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out of the folder"):
        cut(source, tmp_path / "cut")


def test_weights_that_are_only_a_pickle_are_refused(source: Path, tmp_path: Path) -> None:
    (source / "2_Dense" / "model.safetensors").rename(source / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(InputError, match="is a pickle") as raised:
        cut(source, tmp_path / "cut")
    assert "safetensors" in str(raised.value.fix)


@pytest.mark.parametrize("name", ["2_Dense/config.json", "config_sentence_transformers.json", "config.json"])
def test_a_class_that_is_not_torchs_is_refused(name: str, source: Path, tmp_path: Path) -> None:
    settings = json.loads((source / name).read_text())
    write(source, name, {**settings, "sentence_transformers": {"activation_fn": "os.abort"}})
    with pytest.raises(InputError, match=r"'os\.abort' is not a class of torch\.nn"):
        cut(source, tmp_path / "cut")
