"""The refit: closer to the dense model on examples it has not seen, and never further."""

from typing import Any

import pytest
import torch

from prunecli.calibration.divergence import divergence
from prunecli.calibration.reconstruction import Dense, reconstruct
from prunecli.errors import UnsupportedModelError
from prunecli.masks.gates import put_gates, set_masks
from tests import tiny

CHAINED = [name for name in tiny.MODEL_TYPES if name != "albert"]


def pruned(model_type: str, seed: int, **changes: Any) -> tuple[Any, ...]:
    dense, model = tiny.tiny_model(model_type, **changes), tiny.tiny_model(model_type, **changes)
    encoder = tiny.table(model)
    masks = tiny.random_masks(encoder, ("head", "ffn_int"), seed, empty=seed == 1)
    values = put_gates(model, encoder, ("head", "ffn_int"))
    set_masks(values, masks)
    kept = {group: value.clone() for group, value in values.items()}
    batches = [tiny.tiny_inputs(model, 8, 12, seed) for seed in range(16)]
    return dense, model, encoder, kept, batches


def distance(dense: Any, model: Any, batches: list[Any]) -> float:
    each = [divergence(model(**batch), dense(**batch), False, batch["attention_mask"]) for batch in batches]
    return float(torch.stack(each).mean())


@pytest.mark.parametrize("model_type", CHAINED)
@pytest.mark.parametrize("seed", [0, 1])
def test_predictions_come_closer(model_type: str, seed: int) -> None:
    dense, model, encoder, kept, batches = pruned(model_type, seed)
    with torch.no_grad():
        at_first = distance(dense, model, batches[12:])
        before, after = reconstruct(Dense(dense, encoder, batches[:12], batches[12:]), model, kept)
        assert before == pytest.approx(at_first, rel=1e-5)
        assert after == pytest.approx(distance(dense, model, batches[12:]), rel=1e-5)
    assert after <= before
    assert after < before or seed == 1  # with empty layers random models leave little to mend


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "megatron-bert", "distilbert"])
def test_the_last_stream_is_matched_where_enough_columns_stay(model_type: str) -> None:
    """More columns than the examples have tokens: the fit must be exact but for its ridge."""
    dense, model, encoder, kept, _ = pruned(model_type, 0)
    few = [tiny.tiny_inputs(model, 1, 4)]
    with torch.no_grad():
        before, after = reconstruct(Dense(dense, encoder, few, few), model, kept)
    assert after < 0.1 * before


def test_a_refit_that_does_not_help_is_taken_back() -> None:
    dense, _model, encoder, kept, batches = pruned("bert", 0)
    everything = {group: torch.ones_like(mask) for group, mask in kept.items()}
    same = tiny.tiny_model("bert")
    weights = {name: tensor.clone() for name, tensor in same.state_dict().items()}
    _, after = reconstruct(Dense(dense, encoder, batches[:2], batches[2:3]), same, everything)
    assert after == 0.0
    assert all(torch.equal(tensor, weights[name]) for name, tensor in same.state_dict().items())


def test_columns_that_went_keep_their_weights() -> None:
    dense, model, encoder, kept, batches = pruned("bert", 0)
    with torch.no_grad():
        reconstruct(Dense(dense, encoder, batches[:12], batches[12:]), model, kept)
    for layer in range(encoder.layers):
        gone = kept["ffn_int"][layer] == 0
        old = dense.bert.encoder.layer[layer].output.dense.weight
        assert torch.equal(model.bert.encoder.layer[layer].output.dense.weight[:, gone], old[:, gone])


def test_layers_that_share_weights_are_refused() -> None:
    dense, _, encoder, _, batches = pruned("albert", 0)
    with pytest.raises(UnsupportedModelError, match=r"no plain chain"):
        Dense(dense, encoder, batches[:1], batches[1:2])
