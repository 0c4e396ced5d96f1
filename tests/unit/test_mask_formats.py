"""Mask files of others and of ours, told apart by names and shapes, never by running them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from prunecli.encoders import Encoder
from prunecli.errors import InputError, MaskError, PruneError
from prunecli.masks import MaskSet, formats
from tests.tiny import ATTENTION_HEADS, HIDDEN, INTERMEDIATE, LAYERS

HEAD = torch.rand(LAYERS, ATTENTION_HEADS, generator=torch.Generator().manual_seed(0))
NEURON = torch.rand(LAYERS, INTERMEDIATE, generator=torch.Generator().manual_seed(1))
HIDDEN_MASK = torch.rand(LAYERS, HIDDEN, generator=torch.Generator().manual_seed(2))


def save_pt(folder: Path, **masks: torch.Tensor) -> Path:
    """Save each mask as `NAME.pt`."""
    for name, mask in masks.items():
        torch.save(mask, folder / f"{name}.pt")
    return folder


def test_names_of_kwon_et_al_are_understood(bert_encoder: Encoder, tmp_path: Path) -> None:
    save_file({"head_mask": HEAD, "neuron_mask": NEURON}, tmp_path / "mac.safetensors")
    masks = formats.read(tmp_path / "mac.safetensors", bert_encoder).masks
    assert np.array_equal(masks["head"], HEAD.numpy())
    assert np.array_equal(masks["ffn_int"], NEURON.numpy())


def test_pt_files_of_kwon_et_al_are_understood(bert_encoder: Encoder, tmp_path: Path) -> None:
    folder = save_pt(tmp_path, head_mask=HEAD, neuron_mask=NEURON)
    masks = formats.read(folder, bert_encoder).masks
    assert masks.keys() == {"head", "ffn_int"}
    assert np.array_equal(masks["ffn_int"], NEURON.numpy())


def test_a_trio_that_scales_inputs_is_told_by_its_shapes(bert_encoder: Encoder, tmp_path: Path) -> None:
    folder = save_pt(tmp_path, ffn_intermediate_mask=HIDDEN_MASK, ffn_output_mask=NEURON)
    masks = formats.read(folder, bert_encoder).masks
    assert np.array_equal(masks["ffn_in"], HIDDEN_MASK.numpy())
    assert np.array_equal(masks["ffn_int"], NEURON.numpy())


def test_a_trio_that_scales_outputs_is_told_by_its_shapes(bert_encoder: Encoder, tmp_path: Path) -> None:
    folder = save_pt(tmp_path, ffn_intermediate_mask=NEURON, ffn_output_mask=HIDDEN_MASK)
    masks = formats.read(folder, bert_encoder).masks
    assert np.array_equal(masks["ffn_int"], NEURON.numpy())
    assert np.array_equal(masks["ffn_out"], HIDDEN_MASK.numpy())


def test_equal_sizes_leave_the_meaning_open(bert_encoder: Encoder, tmp_path: Path) -> None:
    square = replace(bert_encoder, intermediate=HIDDEN)
    folder = save_pt(tmp_path, ffn_intermediate_mask=HIDDEN_MASK, ffn_output_mask=HIDDEN_MASK)
    with pytest.raises(MaskError, match="both 32") as raised:
        formats.read(folder, square)
    assert "--mask-convention outputs" in str(raised.value.fix)
    assert "--mask-convention inputs" in str(raised.value.fix)


def test_a_convention_tells_the_meaning_where_sizes_are_equal(bert_encoder: Encoder, tmp_path: Path) -> None:
    square = replace(bert_encoder, intermediate=HIDDEN)
    other = 1 - HIDDEN_MASK
    folder = save_pt(tmp_path, head_mask=HEAD, ffn_intermediate_mask=HIDDEN_MASK, ffn_output_mask=other)
    for path in (folder, folder / "head_mask.pt"):
        ours = formats.read(path, square, "outputs").masks
        original = formats.read(path, square, "inputs").masks
        assert np.array_equal(ours["ffn_int"], HIDDEN_MASK.numpy())
        assert np.array_equal(ours["ffn_out"], other.numpy())
        assert np.array_equal(original["ffn_in"], HIDDEN_MASK.numpy())
        assert np.array_equal(original["ffn_int"], other.numpy())


def test_where_no_ffn_mask_is_the_sizes_may_be_equal(bert_encoder: Encoder, tmp_path: Path) -> None:
    square = replace(bert_encoder, intermediate=HIDDEN)
    folder = save_pt(tmp_path, head_mask=HEAD, neuron_mask=HIDDEN_MASK)
    assert formats.read(folder, square).masks.keys() == {"head", "ffn_int"}


def test_a_convention_that_the_shapes_contradict_is_refused(bert_encoder: Encoder, tmp_path: Path) -> None:
    folder = save_pt(tmp_path, ffn_intermediate_mask=NEURON, ffn_output_mask=HIDDEN_MASK)
    with pytest.raises(MaskError, match=r"ffn_intermediate_mask\.pt \(ffn_in\) has shape \[3, 48\]"):
        formats.read(folder, bert_encoder, "inputs")


def test_a_pt_mask_of_another_model_names_both_shapes(bert_encoder: Encoder, tmp_path: Path) -> None:
    folder = save_pt(tmp_path, head_mask=torch.ones(12, 12))
    with pytest.raises(MaskError, match=r"head_mask\.pt \(head\) has shape \[12, 12\].* needs \[3, 4\]"):
        formats.read(folder, bert_encoder)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused_and_not_run(bert_encoder: Encoder, tmp_path: Path) -> None:
    torch.save(Bomb(tmp_path / "boom"), tmp_path / "head_mask.pt")
    with pytest.raises(InputError, match=r"head_mask\.pt is not a file of one tensor"):
        formats.read(tmp_path, bert_encoder)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("content", [{"mask": HEAD}, [HEAD], 1.0])
def test_a_pt_file_of_something_else_is_refused(
    content: object, bert_encoder: Encoder, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "head_mask.pt")
    with pytest.raises(InputError, match=r"head_mask\.pt is not a file of one tensor"):
        formats.read(tmp_path, bert_encoder)


def test_a_single_pt_file_of_an_unknown_name_is_not_ignored(bert_encoder: Encoder, tmp_path: Path) -> None:
    save_pt(tmp_path, my_masks=HEAD)
    with pytest.raises(InputError, match=r"my_masks\.pt"):
        formats.read(tmp_path / "my_masks.pt", bert_encoder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool])
def test_masks_of_any_type_are_read_as_float32(
    dtype: torch.dtype, bert_encoder: Encoder, tmp_path: Path
) -> None:
    mask = (HEAD > 0.5).to(dtype)
    save_file({"head": mask}, tmp_path / "masks.safetensors")
    found = formats.read(tmp_path, bert_encoder).masks["head"]
    assert found.dtype == np.float32
    assert np.array_equal(found, mask.float().numpy())


def test_a_file_of_other_tensors_is_no_mask_file(bert_encoder: Encoder, tmp_path: Path) -> None:
    save_file({"bert.pooler.dense.weight": HEAD}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors is not a mask file: tensor 'bert\.pooler"):
        formats.read(tmp_path / "model.safetensors", bert_encoder)


def test_a_file_of_logits_alone_holds_no_masks(bert_encoder: Encoder, tmp_path: Path) -> None:
    save_file({"logits.head": HEAD}, tmp_path / "masks.safetensors")
    with pytest.raises(InputError, match=r"masks\.safetensors"):
        formats.read(tmp_path, bert_encoder)


@pytest.mark.parametrize("name", ["", "absent", "absent.pt", "absent.safetensors"])
def test_where_no_masks_are_the_path_is_named(name: str, bert_encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{(tmp_path / name).name}") as raised:
        formats.read(tmp_path / name, bert_encoder)
    assert raised.value.fix


def test_a_truncated_mask_file_is_named(bert_encoder: Encoder, tmp_path: Path) -> None:
    save_file({"head": HEAD}, tmp_path / "masks.safetensors")
    whole = (tmp_path / "masks.safetensors").read_bytes()
    (tmp_path / "masks.safetensors").write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"masks\.safetensors is truncated"):
        formats.read(tmp_path, bert_encoder)


def test_the_pt_files_are_plain_zeros_and_ones(bert_encoder: Encoder, tmp_path: Path) -> None:
    mask = (NEURON > 0.5).float()
    formats.write(MaskSet({"ffn_int": mask.numpy()}), bert_encoder, tmp_path)
    loaded = {path.stem: torch.load(path, weights_only=True) for path in tmp_path.glob("*.pt")}
    assert {name: tuple(tensor.shape) for name, tensor in loaded.items()} == {
        "head_mask": (LAYERS, ATTENTION_HEADS),
        "ffn_intermediate_mask": (LAYERS, INTERMEDIATE),
        "ffn_output_mask": (LAYERS, HIDDEN),
    }
    assert all(type(tensor) is torch.Tensor and tensor.dtype == torch.float32 for tensor in loaded.values())
    assert torch.equal(loaded["ffn_intermediate_mask"], mask)
    assert loaded["head_mask"].eq(1).all()
    assert loaded["ffn_output_mask"].eq(1).all()


def test_two_files_of_one_group_are_refused(bert_encoder: Encoder, tmp_path: Path) -> None:
    folder = save_pt(tmp_path, ffn_intermediate_mask=NEURON, neuron_mask=NEURON)
    with pytest.raises(MaskError, match=r"ffn_intermediate_mask\.pt and neuron_mask\.pt are both ffn_int"):
        formats.read(folder, bert_encoder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"\N{SUPERSCRIPT TWO}": [0]}, "is no group"),
        ({"head": {"\N{SUPERSCRIPT TWO}": [0]}}, "there is no layer"),
        ({"head": {"0": [True]}}, "is no list of units"),
    ],
)
def test_numbers_of_other_kinds_are_bad_input(
    content: dict[str, Any], said: str, bert_encoder: Encoder, tmp_path: Path
) -> None:
    (tmp_path / "masks.json").write_text(json.dumps(content))
    with pytest.raises(PruneError, match=said):
        formats.read(tmp_path / "masks.json", bert_encoder)
