"""A checkpoint folder is read without trust: nothing leads out of it, nothing in it runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from prunecli.checkpoints.folder import DANGEROUS_KEYS, INDEX, WEIGHTS, read_checkpoint
from prunecli.config import VerifyConfig
from prunecli.errors import InputError
from prunecli.operations import verify_automodel
from tests import tiny

Folder = Callable[..., Path]


@pytest.fixture
def sharded(tmp_path: Path) -> Folder:
    """Return a function that makes a folder with two shards and the weight map it is given."""

    def make(weight_map: Any, second: str = "b") -> Path:
        folder = tmp_path / "checkpoint"
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "bert"}')
        save_file({"a": torch.zeros(2)}, folder / "one.safetensors")
        save_file({second: torch.zeros(3)}, folder / "two.safetensors")
        (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
        return folder

    return make


def test_shards_are_read_as_one_checkpoint(sharded: Folder) -> None:
    checkpoint = read_checkpoint(sharded({"a": "one.safetensors", "b": "two.safetensors"}))
    assert {name: entry.shape for name, entry in checkpoint.tensors.items()} == {"a": (2,), "b": (3,)}
    assert [path.name for path in checkpoint.weight_files] == ["one.safetensors", "two.safetensors"]


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "a\0b", ""])
def test_an_index_that_leads_out_of_the_folder_is_refused(name: str, sharded: Folder) -> None:
    with pytest.raises(InputError, match="checkpoint"):
        read_checkpoint(sharded({"a": name}))


@pytest.mark.parametrize(
    "weight_map", [None, {}, [], "one.safetensors", {"a": 1, "b": "two.safetensors"}, {"a": {}}]
)
def test_an_index_without_a_map_of_names_is_refused(weight_map: Any, sharded: Folder) -> None:
    with pytest.raises(InputError, match="checkpoint"):
        read_checkpoint(sharded(weight_map))


def test_a_missing_shard_is_named(sharded: Folder) -> None:
    with pytest.raises(InputError, match=r"three\.safetensors cannot be read"):
        read_checkpoint(sharded({"a": "one.safetensors", "c": "three.safetensors"}))


def test_a_tensor_in_two_shards_is_refused(sharded: Folder) -> None:
    with pytest.raises(InputError, match="tensor a also stands in another shard"):
        read_checkpoint(sharded({"a": "one.safetensors", "b": "two.safetensors"}, second="a"))


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_link_out_of_the_folder_is_refused(name: str, bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(InputError, match="leads out of the folder"):
        read_checkpoint(folder)


def test_a_tokenizer_that_links_out_of_the_folder_is_refused(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
    (folder / "vocab.txt").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="leads out of the folder"):
        _ = read_checkpoint(folder).tokenizer_files


def test_links_inside_the_hubs_cache_are_followed(bert: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models--someone--model"
    snapshot = Path(shutil.copytree(bert, repository / "snapshots" / "0123"))
    (repository / "blobs").mkdir()
    (snapshot / WEIGHTS).rename(repository / "blobs" / "beef")
    (snapshot / WEIGHTS).symlink_to("../../blobs/beef")
    assert read_checkpoint(snapshot).tensors.keys() == read_checkpoint(bert).tensors.keys()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt"])
def test_a_pickle_is_never_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(InputError, match="a pickle, which can run code") as raised:
        read_checkpoint(tmp_path)
    assert "save_pretrained" in str(raised.value.fix)


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        read_checkpoint(tmp_path)


def test_a_folder_without_a_config_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json does not exist"):
        read_checkpoint(tmp_path)


def test_a_path_that_is_no_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_checkpoint(tmp_path / "absent")


def test_config_keys_that_make_libraries_act_are_dropped(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, **dict.fromkeys(DANGEROUS_KEYS, "someone/code")})
    )
    assert "someone/code" not in read_checkpoint(folder).config.values()


@pytest.mark.parametrize(
    ("architectures", "found"),
    [(["BertModel"], "BertModel"), ([], None), (None, None), ([1], None), ("Bert", None)],
)
def test_the_architecture_is_the_first_name_or_none(
    architectures: Any, found: str | None, bert: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": architectures}))
    assert read_checkpoint(folder).architecture == found


def test_stacked_tensors_are_taken_apart_row_by_row(tiny_checkpoint: Callable[..., Path]) -> None:
    folder = tiny_checkpoint("nomic_bert")
    stacked = load_file(folder / WEIGHTS)["nomic_bert.encoder.layers.0.attn.Wqkv.weight"]
    tensors = read_checkpoint(folder).tensors
    parts = [tensors[f"nomic_bert.layers.0.self_attn.{name}_proj.weight"] for name in "qkv"]
    assert [part.shape for part in parts] == [(tiny.HIDDEN, tiny.HIDDEN)] * 3
    assert b"".join(part.read() for part in parts) == stacked.numpy().tobytes()


@pytest.mark.parametrize("model_type", ["bert", "gte"])
def test_a_stock_folder_is_verified_whatever_its_files_call_tensors(
    model_type: str, tiny_checkpoint: Callable[..., Path]
) -> None:
    verdict = verify_automodel.run(VerifyConfig.of({"checkpoint": tiny_checkpoint(model_type)}))
    assert verdict.passed, [finding for finding in verdict.findings if finding.status == "fail"]


def test_a_stack_of_unequal_rows_is_refused(tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint("nomic_bert"), tmp_path / "copy"))
    name = "nomic_bert.encoder.layers.0.attn.Wqkv.weight"
    tensors = load_file(folder / WEIGHTS)
    save_file({**tensors, name: tensors[name][:-1]}, folder / WEIGHTS)
    with pytest.raises(InputError, match=f"{name} does not stack 3"):
        read_checkpoint(folder)
