"""The plan of a cut: shapes, factors and index tensors, known from headers alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from prunecli.checkpoints.folder import WEIGHTS, Checkpoint, read_checkpoint
from prunecli.checkpoints.safetensors_file import read_header
from prunecli.encoders import Encoder, Family, ModelType, Sublayer
from prunecli.errors import InputError, MaskError
from prunecli.masks import MaskSet
from prunecli.shrink.plan import CutPlan, plan_cut
from prunecli.shrink.slicing import slice_tensor
from tests import tiny

NEURONS = MaskSet({"ffn_int": np.array([[1] * 10 + [0] * 38] * 3, dtype=np.float32)})
WHOLE = MaskSet({})  # nothing was cut before
OUTPUT = "bert.encoder.layer.0.output.dense"


def changed(source: Path, folder: Path, **tensors: Tensor | None) -> Checkpoint:
    """Copy a checkpoint and replace tensors, or remove those that are None."""
    shutil.copytree(source, folder)
    state: dict[str, Tensor | None] = {**load_file(source / WEIGHTS), **tensors}
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, folder / WEIGHTS)
    return read_checkpoint(folder)


def planned(folder: Path, masks: MaskSet) -> CutPlan:
    """Plan a cut of a checkpoint folder."""
    return plan_cut(read_checkpoint(folder), tiny.sizes(folder), masks, WHOLE)


def test_only_the_tensors_around_the_units_change(bert: Path) -> None:
    plan = planned(bert, NEURONS)
    smaller = {cut.entry.name for cut in plan.cuts if cut.declared.shape != cut.entry.shape}
    assert smaller == {
        f"bert.encoder.layer.{layer}.{name}"
        for layer in range(3)
        for name in ("intermediate.dense.weight", "intermediate.dense.bias", "output.dense.weight")
    }


def test_masks_of_ones_change_nothing(bert: Path) -> None:
    plan = planned(bert, MaskSet({"head": np.ones((3, 4), dtype=np.float32)}))
    assert all(not cut.keep and not cut.scale for cut in plan.cuts)
    assert plan.changes["pruned_linears"] == {}


def test_cut_inputs_and_outputs_get_index_tensors(bert: Path) -> None:
    mask = np.ones((3, 32), dtype=np.float32)
    mask[0, [3, 9]] = 0
    kept = [unit for unit in range(32) if unit not in (3, 9)]
    plan = planned(bert, MaskSet({"ffn_in": mask, "ffn_out": mask}))
    assert {name: list(index) for name, index in plan.indices.items()} == {
        "bert.encoder.layer.0.intermediate.dense.input_index": kept,
        f"{OUTPUT}.output_index": kept,
    }
    assert plan.changes["gathered_inputs"] == ["encoder.layer.0.intermediate.dense"]
    assert plan.changes["scattered_outputs"] == ["encoder.layer.0.output.dense"]


def test_equal_widths_can_be_said_natively(bert: Path) -> None:
    assert planned(bert, NEURONS).native == {"intermediate_size": 10}


def test_distilbert_says_it_in_its_own_words(tmp_path: Path) -> None:
    folder = tiny.save_tiny(tmp_path, "distilbert")
    assert planned(folder, NEURONS).native == {"hidden_dim": 10}


@pytest.mark.parametrize(
    ("group", "units", "reason"),
    [
        ("head", [[0, 1, 1, 1]] * 3, "head units are cut"),
        ("ffn_out", [[0] + [1] * 31] * 3, "ffn_out units are cut"),
        ("ffn_in", [[0] + [1] * 31] * 3, "ffn_in units are cut"),
        ("ffn_int", [[0] + [1] * 47, [1] * 48, [1] * 48], "between 47 and 48 neurons"),
        ("ffn_int", [[0] * 48] * 3, "no neurons are left"),
    ],
)
def test_what_a_stock_config_cannot_say_has_a_reason(
    group: str, units: list[list[int]], reason: str, bert: Path
) -> None:
    plan = planned(bert, MaskSet({group: np.array(units, dtype=np.float32)}))
    assert plan.native is None
    assert reason in plan.native_reason


def test_real_values_that_remove_nothing_are_native(bert: Path) -> None:
    plan = planned(bert, MaskSet({"head": np.full((3, 4), 1.5, dtype=np.float32)}))
    assert plan.native == {"intermediate_size": 48}


def test_a_bare_encoder_has_no_prefix(tmp_path: Path) -> None:
    folder = tiny.save_tiny(tmp_path, "bert", "Model")
    plan = planned(folder, NEURONS)
    assert {cut.entry.name for cut in plan.cuts if cut.keep} >= {"encoder.layer.0.output.dense.weight"}


def test_a_linear_without_bias_is_cut_too(bert: Path, tmp_path: Path) -> None:
    checkpoint = changed(bert, tmp_path / "x", **{"bert.encoder.layer.0.intermediate.dense.bias": None})
    plan = plan_cut(checkpoint, tiny.sizes(bert), NEURONS, WHOLE)
    assert "bert.encoder.layer.0.intermediate.dense.weight" in {
        cut.entry.name for cut in plan.cuts if cut.keep
    }


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        (f"{OUTPUT}.weight", None, rf"tensor {OUTPUT}\.weight is missing, .* prunecli/encoders/bert\.py"),
        (f"{OUTPUT}.weight", torch.zeros(32, 47), r"has shape \[32, 47\], config.json says \[32, 48\]"),
        (
            "bert.encoder.layer.0.attention.self.query.weight",
            None,
            r"no tensor bert\.encoder\.layer\.0.* prunecli/encoders/bert\.py",
        ),
        ("bert.encoder.layer.0.intermediate.dense.bias", torch.zeros(5), r"\[5\]"),
    ],
)
def test_tensors_that_do_not_fit_the_config_are_named(
    name: str, tensor: Tensor | None, said: str, bert: Path, tmp_path: Path
) -> None:
    checkpoint = changed(bert, tmp_path / "x", **{name: tensor})
    with pytest.raises(InputError, match=said):
        plan_cut(checkpoint, tiny.sizes(bert), NEURONS, WHOLE)


def test_whole_numbers_are_cut_but_never_scaled(bert: Path, tmp_path: Path) -> None:
    quantised = torch.randint(-100, 100, (32, 48), dtype=torch.int8)
    checkpoint = changed(bert, tmp_path / "x", **{f"{OUTPUT}.weight": quantised})
    cuts = {cut.entry.name: cut for cut in plan_cut(checkpoint, tiny.sizes(bert), NEURONS, WHOLE).cuts}
    kept = slice_tensor(cuts[f"{OUTPUT}.weight"]).view(np.int8)
    assert np.array_equal(kept, quantised[:, :10].numpy())
    with pytest.raises(MaskError, match=f"{OUTPUT}.weight is of type I8"):
        plan_cut(checkpoint, tiny.sizes(bert), MaskSet({"ffn_int": NEURONS.masks["ffn_int"] * 2}), WHOLE)


FUSED = Encoder(
    Family(
        model_types=(ModelType("fused", "Fused", "fused", "BertTokenizer", ("input_ids",)),),
        layer="layers.{layer}.",
        attention=Sublayer(inputs=("Wqkv",), output="Wo", blocks=3),
        ffn=Sublayer(inputs=("Wi",), output="down", blocks=2),
    ),
    ModelType("fused", "Fused", "fused", "BertTokenizer", ("input_ids",)),
    layers=1, heads=2, head_size=2, hidden=4, intermediate=3,
)  # fmt: skip


def test_fused_linears_are_cut_in_every_block(tmp_path: Path) -> None:
    weights = {
        "layers.0.Wqkv.weight": torch.arange(12.0)[:, None].repeat(1, 4),
        "layers.0.Wo.weight": torch.ones(4, 4),
        "layers.0.Wi.weight": torch.arange(6.0)[:, None].repeat(1, 4),
        "layers.0.down.weight": torch.ones(4, 3),
    }
    save_file(weights, tmp_path / WEIGHTS)
    checkpoint = Checkpoint(tmp_path, {}, read_header(tmp_path / WEIGHTS))
    masks = MaskSet({"head": np.array([[0, 1]], np.float32), "ffn_int": np.array([[1, 0, 1]], np.float32)})
    cuts = {cut.entry.name: cut for cut in plan_cut(checkpoint, FUSED, masks, WHOLE).cuts}
    rows = {name: list(slice_tensor(cut).view(np.float32)[:, 0]) for name, cut in cuts.items()}
    assert rows["layers.0.Wqkv.weight"] == [2, 3, 6, 7, 10, 11]
    assert rows["layers.0.Wi.weight"] == [0, 2, 3, 5]
    assert cuts["layers.0.Wo.weight"].declared.shape == (4, 2)
    assert cuts["layers.0.down.weight"].declared.shape == (4, 2)
