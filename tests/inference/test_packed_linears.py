"""Packed linears say what stock ones say, in every family and in cut layers; where they do not, all stays as it was."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from prunecli.inference import packed_linears
from prunecli.inference.packed_linears import PackedLinear, pack_linears
from prunecli.masks.units import GROUPS
from tests import tiny

GELU_ALONE = set(tiny.MODEL_TYPES) - {"albert", "eurobert", "gte", "modernbert", "nomic_bert"}

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="torch without oneDNN",
)


def packed_in(model: nn.Module) -> list[PackedLinear]:
    return [module for module in model.modules() if isinstance(module, PackedLinear)]


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_outputs_stay_the_same(model_type: str) -> None:
    model = tiny.tiny_model(model_type)
    inputs = tiny.tiny_inputs(model, examples=3)
    expected = tiny.outputs(model, inputs)
    assert pack_linears(model, tiny.table(model))
    with_gelu = [module for module in packed_in(model) if module.activation == "gelu"]
    assert bool(with_gelu) == (model_type in GELU_ALONE)
    torch.testing.assert_close(tiny.outputs(model, inputs), expected, atol=1e-5, rtol=0)


def test_cut_and_empty_layers_too(tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = tiny_checkpoint("bert")
    masks = tiny.random_masks(tiny.sizes(source), GROUPS, seed=0, real=True, empty=True)
    model = tiny.load(tiny.cut(source, masks, tmp_path / "cut"))
    inputs = tiny.tiny_inputs(model)
    expected = tiny.outputs(model, inputs)
    assert pack_linears(model, tiny.sizes(source)) and packed_in(model)
    torch.testing.assert_close(tiny.outputs(model, inputs), expected, atol=1e-5, rtol=0)


def test_what_is_not_equal_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.tiny_model("bert")
    modules = [type(module) for module in model.modules()]
    monkeypatch.setattr(packed_linears, "GELU", packed_linears.LINEAR)  # an activation gets lost
    assert not pack_linears(model, tiny.table(model))
    assert [type(module) for module in model.modules()] == modules


def test_half_precision_stays_as_it_is() -> None:
    model = tiny.tiny_model("bert").bfloat16()
    assert not pack_linears(model, tiny.table(model)) and not packed_in(model)
