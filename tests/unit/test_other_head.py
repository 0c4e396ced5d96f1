"""A checkpoint with one head, loaded with another: nothing of the old head is taken for the new one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.models.loading import load_model
from tests import tiny

# Both call their last layer `classifier`, and with as many labels it has one shape.
PAIRS = [
    ("ForSequenceClassification", "ForTokenClassification"),
    ("ForTokenClassification", "ForSequenceClassification"),
    ("ForSequenceClassification", "ForMaskedLM"),
    ("ForMaskedLM", "ForMultipleChoice"),
]


@pytest.mark.parametrize(("own", "wanted"), PAIRS)
@pytest.mark.parametrize("model_type", ["bert", "modernbert", "distilbert"])
def test_the_new_head_is_new_and_the_encoder_is_not(
    own: str, wanted: str, model_type: str, tiny_checkpoint: Callable[..., Path]
) -> None:
    source = tiny_checkpoint(model_type, own)
    before = load_model(read_checkpoint(source)).model.state_dict()
    loaded = load_model(read_checkpoint(source), wanted)
    body = f"{tiny.row(model_type).prefix}."
    names = {name for name, _ in loaded.model.named_parameters()}
    assert {name for name in names if not name.startswith(body)} <= set(loaded.new)
    kept = {name for name in names if name.startswith(body) and "pooler" not in name}
    after = loaded.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in kept)


def test_a_span_head_has_two_outputs_whatever_the_labels_were(
    tiny_checkpoint: Callable[..., Path],
) -> None:
    from prunecli.tasks import known_task

    kind = known_task("squad").kind
    source = tiny_checkpoint("bert", tiny.CLASSIFICATION)  # three labels
    model = load_model(read_checkpoint(source), kind.head, **kind.config(known_task("squad"))).model
    assert model.qa_outputs.out_features == 2
