"""Trainable gates: noise while training, decisions in evaluation, stock names in the saved weights."""

import copy

import pytest
import torch
from transformers import PreTrainedModel

from prunecli import methods
from prunecli.masks.gates import put_gates, set_masks
from prunecli.training.gates import NAME, Gates, attach, weights_only
from tests import tiny

GROUPS = ("head", "ffn_int")


def gated_model(groups: tuple[str, ...] = GROUPS, how: str = "randn") -> tuple[PreTrainedModel, Gates]:
    """Return a tiny BERT with gates."""
    model = tiny.tiny_model("bert")
    gates = Gates(methods.get("gumbel-sigmoid"), tiny.table(model), groups, how, seed=0)
    attach(model, tiny.table(model), gates)
    model.train(False)
    return model, gates


def without_dropout(model: PreTrainedModel, gates: Gates) -> None:
    """Let only the gates be random."""
    model.train(False)
    gates.train()


def test_the_state_without_gates_has_the_stock_names_and_values() -> None:
    model, _ = gated_model()
    stock = tiny.tiny_model("bert").state_dict()
    found = weights_only(model.state_dict())
    assert list(found) == list(stock)
    assert all(torch.equal(found[name], tensor) for name, tensor in stock.items())


def test_the_state_with_gates_has_their_logits_for_resuming() -> None:
    model, gates = gated_model()
    state = model.state_dict()
    assert {name for name in state if name.startswith(NAME)} == {f"{NAME}.logits.{group}" for group in GROUPS}
    other, other_gates = gated_model(how="open")
    other.load_state_dict(state)
    assert all(torch.equal(other_gates.logits[group], gates.logits[group]) for group in GROUPS)


def test_gates_act_in_evaluation_as_their_decisions() -> None:
    model, gates = gated_model()
    inputs = tiny.tiny_inputs(model)
    masked = tiny.tiny_model("bert")
    set_masks(put_gates(masked, tiny.table(masked), GROUPS), gates.mask_set({}))
    assert torch.equal(tiny.outputs(model, inputs), tiny.outputs(masked, inputs))
    assert torch.equal(tiny.outputs(model, inputs), tiny.outputs(model, inputs))


@pytest.mark.parametrize("group", ["head", "ffn_int", "ffn_out", "ffn_in"])
def test_a_closed_gate_changes_the_logits(group: str) -> None:
    model, gates = gated_model((group,), "open")
    inputs = tiny.tiny_inputs(model)
    before = tiny.outputs(model, inputs)
    with torch.no_grad():
        gates.logits[group][0, 0] = -5
    assert (tiny.outputs(model, inputs) - before).abs().max() > 1e-5


def test_gates_are_noisy_while_training() -> None:
    model, gates = gated_model()
    without_dropout(model, gates)
    inputs = tiny.tiny_inputs(model)
    assert not torch.equal(tiny.outputs(model, inputs), tiny.outputs(model, inputs))


def test_gradients_reach_every_logit_of_every_group() -> None:
    model, gates = gated_model(("head", "ffn_int", "ffn_out", "ffn_in"))
    without_dropout(model, gates)
    model(**tiny.tiny_inputs(model), labels=torch.tensor([0, 2])).loss.backward()
    for logits in gates.logits.values():
        assert logits.grad is not None
        assert (logits.grad != 0).float().mean() > 0.9


def test_frozen_gates_have_no_noise_and_no_gradient() -> None:
    model, gates = gated_model()
    inputs = tiny.tiny_inputs(model)
    decided = tiny.outputs(model, inputs)
    without_dropout(model, gates)
    gates.frozen = True
    assert torch.equal(tiny.outputs(model, inputs), decided)
    model(**inputs, labels=torch.tensor([0, 2])).loss.backward()
    assert all(logits.grad is None for logits in gates.logits.values())


def test_penalties_are_means_over_the_groups() -> None:
    _, gates = gated_model()
    each = [gates.method.penalties(logits) for logits in gates.logits.values()]
    for name, value in gates.penalties().items():
        assert value.item() == pytest.approx(sum(group[name].item() for group in each) / len(each))


def test_the_mask_set_holds_decisions_and_logits() -> None:
    _, gates = gated_model()
    masks = gates.mask_set({"seed": "0"})
    assert masks.provenance == {"seed": "0"}
    for group in GROUPS:
        assert ((masks.masks[group] == 1) == (masks.logits[group] >= 0)).all()
        assert set(masks.masks[group].flat) == {0.0, 1.0}


def test_a_step_in_bfloat16_autocast_gives_finite_gradients() -> None:
    model, gates = gated_model()
    without_dropout(model, gates)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(**tiny.tiny_inputs(model, 4, 16), labels=torch.tensor([0, 1, 2, 0])).loss
    loss.backward()
    assert all(
        torch.isfinite(logits.grad).all() for logits in gates.logits.values() if logits.grad is not None
    )
    assert all(logits.grad is not None for logits in gates.logits.values())


def test_a_copy_of_a_gated_model_has_gates_of_its_own() -> None:
    model = tiny.tiny_model("bert")
    encoder = tiny.table(model)
    attach(model, encoder, Gates(methods.get("hard-concrete"), encoder, ("head", "layer"), "open", 0))
    model.eval()
    inputs = tiny.tiny_inputs(model)
    expected = tiny.outputs(model, inputs)
    copied = copy.deepcopy(model)
    for logits in copied.get_submodule(NAME).logits.values():  # type: ignore[operator, union-attr]
        logits.data.fill_(-9.0)
    changed = tiny.outputs(copied, inputs)
    assert not torch.allclose(changed, expected)
    assert torch.equal(tiny.outputs(model, inputs), expected)
    assert torch.equal(tiny.outputs(copied, inputs), changed)
