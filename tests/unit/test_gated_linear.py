"""Gates on a live model: the same product on weights and on activations, under the stock names."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prunecli.encoders import Encoder
from prunecli.errors import UnsupportedModelError
from prunecli.masks import MaskSet
from prunecli.masks.gates import GatedLinear, put_gates, set_masks
from prunecli.masks.units import COLUMNS, GROUPS, ROWS, Touch
from tests import tiny

FEW, MANY = 2, 50  # tokens: fewer and more than the linear has rows or columns


def both_sides(bias: bool = True) -> tuple[GatedLinear, Tensor, Tensor]:
    """Return a linear 8 -> 12 with gates on its columns and rows, and their values spread out."""
    linear = nn.Linear(8, 12, bias=bias)
    columns_U, rows_U = torch.rand(1, 4), torch.rand(1, 3)
    gates = [Touch("head", 0, "x", COLUMNS, width=2), Touch("ffn_out", 0, "x", ROWS, width=2, blocks=2)]
    gated = GatedLinear(linear, gates, {"head": columns_U, "ffn_out": rows_U})
    return gated, columns_U[0].repeat_interleave(2), rows_U[0].repeat_interleave(2).repeat(2)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tokens", [FEW, MANY])
def test_both_branches_scale_columns_rows_and_bias(tokens: int, bias: bool) -> None:
    gated, scale_I, scale_O = both_sides(bias)
    x_NI = torch.randn(tokens, 8)
    plain_NO = (x_NI * scale_I) @ gated.weight.T
    expected = (plain_NO + gated.bias if bias else plain_NO) * scale_O
    assert torch.allclose(gated(x_NI), expected, atol=1e-6)


@pytest.mark.parametrize(("tokens", "on_activation"), [(FEW, True), (MANY, False)])
def test_the_cheaper_side_is_taken(tokens: int, on_activation: bool) -> None:
    gated, _, _ = both_sides()
    assert gated.scales_activation(COLUMNS, tokens) == on_activation
    assert gated.scales_activation(ROWS, tokens) == on_activation


def test_a_frozen_weight_is_left_alone() -> None:
    gated, _, _ = both_sides()
    gated.requires_grad_(False)
    assert gated.scales_activation(COLUMNS, MANY)


@pytest.mark.parametrize("tokens", [FEW, MANY])
def test_gates_get_the_same_gradient_in_both_branches(tokens: int) -> None:
    gated, scale_I, scale_O = both_sides()
    x_NI = torch.randn(tokens, 8)
    leaves = [value.requires_grad_() for value in gated.values.values()]
    found = torch.autograd.grad(gated(x_NI).square().sum(), leaves)
    wide = [scale_I.clone().requires_grad_(), scale_O.clone().requires_grad_()]
    expected = ((x_NI * wide[0]) @ gated.weight.T + gated.bias) * wide[1]
    columns, rows = torch.autograd.grad(expected.square().sum(), wide)
    assert torch.allclose(found[0][0], columns.view(4, 2).sum(1), rtol=1e-4)
    assert torch.allclose(found[1][0], rows.view(2, 3, 2).sum((0, 2)), rtol=1e-4)


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_a_gated_model_keeps_its_tensor_names_and_parameters(model_type: str) -> None:
    model = tiny.tiny_model(model_type)
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    put_gates(model, tiny.table(model), GROUPS)
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == before


@pytest.mark.parametrize("change", ["renamed", "replaced"])
def test_a_linear_that_the_model_lacks_is_named_with_class_and_table(change: str) -> None:
    model = tiny.tiny_model("roberta")
    output = model.roberta.encoder.layer[1].output
    if change == "renamed":
        output.projection = output.dense
        del output.dense
    else:
        output.dense = nn.Identity()
    said = (
        "RobertaModel has no linear encoder.layer.1.output.dense, "
        "which the table prunecli/encoders/bert.py expects"
    )
    with pytest.raises(UnsupportedModelError, match=said) as raised:
        put_gates(model, tiny.table(model), ("ffn_int",))
    assert raised.value.fix


def test_gates_start_open(bert_encoder: Encoder) -> None:
    model = tiny.tiny_model("bert")
    inputs = tiny.tiny_inputs(model)
    before = tiny.outputs(model, inputs)
    put_gates(model, bert_encoder, GROUPS)
    assert torch.equal(tiny.outputs(model, inputs), before)


def test_masks_may_be_tensors_or_a_mask_set(bert_encoder: Encoder) -> None:
    model = tiny.tiny_model("bert")
    values = put_gates(model, bert_encoder, ("head",))
    mask = np.array([[1, 0, 0.5, 2]] * 3, dtype=np.float32)
    set_masks(values, MaskSet({"head": mask}))
    from_set = tiny.outputs(model, tiny.tiny_inputs(model))
    set_masks(values, {"head": torch.from_numpy(mask)})
    assert torch.equal(tiny.outputs(model, tiny.tiny_inputs(model)), from_set)


def test_a_gate_on_ffn_out_closes_the_whole_sublayer(bert_encoder: Encoder) -> None:
    model = tiny.tiny_model("bert")
    set_masks(put_gates(model, bert_encoder, ("ffn_out",)), {"ffn_out": torch.zeros(3, tiny.HIDDEN)})
    output = model.bert.encoder.layer[0].output.dense
    assert output(torch.randn(1, 2, tiny.INTERMEDIATE)).abs().max() == 0
