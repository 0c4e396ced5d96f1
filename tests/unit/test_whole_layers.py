"""Layers that go as a whole: who can lose them, what they cost, which go first."""

from pathlib import Path

import numpy as np
import pytest
import torch

from prunecli import methods
from prunecli.calibration.divergence import divergence
from prunecli.calibration.layer_removal import removal_costs
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.encoders import Encoder
from prunecli.errors import MaskError, UnsupportedModelError
from prunecli.masks import MaskSet, prices
from prunecli.masks.budget import encoder_flops, layer_parameters
from prunecli.masks.gates import put_gates, set_masks
from prunecli.masks.units import GROUPS
from prunecli.methods.base import Calibrated, ScoreMethod
from prunecli.training.distillation import WEIGHT, Teacher
from prunecli.training.live_cut import cut_live, parameters_left
from tests import tiny

LAYERED = [name for name in tiny.MODEL_TYPES if name != "albert"]
WITHOUT_THE_MIDDLE = np.array([[1], [0], [1]], dtype=np.float32)


def test_no_weight_can_take_up_a_layers_scale(bert_encoder: Encoder) -> None:
    with pytest.raises(MaskError, match="other values than 0 and 1"):
        MaskSet({"layer": WITHOUT_THE_MIDDLE / 2}).check(bert_encoder, "model")


def test_a_model_without_any_layer_is_refused(bert_encoder: Encoder) -> None:
    with pytest.raises(MaskError, match="remove every head and every neuron"):
        MaskSet({"layer": 0 * WITHOUT_THE_MIDDLE}).check(bert_encoder, "model")


def test_units_of_layers_that_go_do_not_count(bert_encoder: Encoder) -> None:
    only_there = {
        group: 1 - np.broadcast_to(WITHOUT_THE_MIDDLE, (3, n)) for group, n in (("head", 4), ("ffn_int", 48))
    }
    with pytest.raises(MaskError, match="remove every head and every neuron"):
        MaskSet({"layer": WITHOUT_THE_MIDDLE, **only_there}).check(bert_encoder, "model")


@pytest.mark.parametrize(("model_type", "changes"), [("albert", {}), ("deberta-v2", {"conv_kernel_size": 3})])
def test_layers_that_are_bound_to_their_places_stay(model_type: str, changes: dict[str, int]) -> None:
    encoder = tiny.table(tiny.tiny_model(model_type, **changes))
    with pytest.raises(UnsupportedModelError, match="cannot lose layers"):
        MaskSet({"layer": WITHOUT_THE_MIDDLE}).check(encoder, "model")


@pytest.mark.parametrize("model_type", LAYERED)
def test_a_stock_config_says_how_many_layers_are_left(model_type: str, tmp_path: Path) -> None:
    source = tiny.save_tiny(tmp_path / "source", model_type)
    cut = read_checkpoint(tiny.cut(source, MaskSet({"layer": WITHOUT_THE_MIDDLE}), tmp_path / "cut"))
    dense = read_checkpoint(source)
    if model_type == "modernbert":  # its layers are of several kinds
        assert cut.config["without_layers"] == ["layers.1"]
        return
    changed = {key for key in cut.config if cut.config[key] != dense.config.get(key)}
    assert changed == {tiny.sizes(source).family.layers_field}
    assert cut.config.keys() == dense.config.keys()
    stock = tiny.tiny_model(model_type, **{key: cut.config[key] for key in changed})
    assert {
        name: tuple(tensor.shape) for name, tensor in stock.state_dict().items() if name in cut.tensors
    } == {name: entry.shape for name, entry in cut.tensors.items()}


@pytest.mark.parametrize("model_type", LAYERED)
def test_prices_of_layers_are_the_counts_of_the_cut_encoder(model_type: str) -> None:
    encoder = tiny.table(tiny.tiny_model(model_type))
    masks, kept = MaskSet({"layer": WITHOUT_THE_MIDDLE}), {"layer": [1, 0, 1]}
    assert prices.flops(encoder, 17).only(("layer",)).of(kept) == pytest.approx(
        encoder_flops(encoder, masks, 17)
    )
    assert prices.parameters(encoder).only(("layer",)).of(kept) == pytest.approx(
        layer_parameters(encoder, masks)
    )


@pytest.mark.parametrize("model_type", LAYERED)
def test_parameters_are_those_of_the_cut_model(model_type: str) -> None:
    cut, whole = tiny.tiny_model(model_type), tiny.tiny_model(model_type)
    encoder = tiny.table(whole)
    masks = tiny.random_masks(encoder, (*GROUPS, "layer"), seed=3)
    cut_live(cut, encoder, masks)
    assert parameters_left(whole, encoder, masks) == sum(p.numel() for p in cut.parameters())


@torch.no_grad()
def test_the_layer_that_matters_least_goes_first() -> None:
    model = tiny.tiny_model("bert")
    encoder, batches = tiny.table(model), [tiny.tiny_inputs(model, 4, 9, seed) for seed in range(2)]
    costs = removal_costs(model, encoder, batches, torch.ones(3, 1))[:, 0]
    dense = [model(**batch) for batch in batches]
    values = put_gates(model, encoder, ("layer",))
    alone = []
    for layer in range(3):
        set_masks(values, {"layer": torch.ones(3, 1).index_fill(0, torch.tensor(layer), 0)})
        pairs = zip(batches, dense, strict=True)
        each = [
            divergence(model(**batch), outputs, False, batch["attention_mask"]) for batch, outputs in pairs
        ]
        alone.append(float(torch.stack(each).mean()))
    first = int(costs.argmin())
    assert first == int(np.argmin(alone))
    assert float(costs[first]) == pytest.approx(min(alone), rel=1e-4)


@pytest.mark.parametrize("name", methods.names())
def test_methods_that_score_layers_do(name: str) -> None:
    method = methods.get(name)
    if not isinstance(method, ScoreMethod) or not method.layers:
        pytest.skip("it scores none")
    model = tiny.tiny_model("bert")
    kept = {"layer": torch.from_numpy(WITHOUT_THE_MIDDLE)}
    values = put_gates(model, tiny.table(model), ("layer",))
    set_masks(values, kept)
    scores = method.score(Calibrated(model, tiny.table(model), [tiny.tiny_inputs(model)], [], kept, 0))[
        "layer"
    ]
    assert scores[1] == -1 and (scores[[0, 2]] > 0).all() and scores[0] != scores[2]


def test_a_student_without_a_layer_learns_from_what_is_read_above_it() -> None:
    student, teacher = tiny.tiny_model("bert"), tiny.tiny_model("bert")
    masks = MaskSet({"layer": WITHOUT_THE_MIDDLE})
    set_masks(put_gates(teacher, tiny.table(teacher), ("layer",)), masks)
    cut_live(student, tiny.table(student), masks)
    inputs = {**tiny.tiny_inputs(teacher), "labels": torch.tensor([0, 1])}
    outputs = student(**inputs, output_hidden_states=True)
    loss = Teacher(teacher, [True, False, True]).loss(outputs.loss, outputs, inputs)
    assert loss.item() == pytest.approx((1 - WEIGHT) * outputs.loss.item(), rel=1e-4)
