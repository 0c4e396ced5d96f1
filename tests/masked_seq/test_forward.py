"""What goes into a model of several positions and what comes out, for eight families."""

from typing import Any

import pytest
import torch
from transformers import AutoModel

from prunecli import AutoModelForMaskedSeqModeling
from prunecli.models import modeling_losses, modeling_masked_seq
from prunecli.models.modeling_masked_seq import MaskedSeqConfig
from tests import tiny
from tests.masked_seq.conftest import FAMILIES, INDICES_BM, Save, inputs


@pytest.mark.parametrize("model_type", FAMILIES)
@torch.no_grad()
def test_logits_are_those_of_the_head_on_the_encoders_states(model_type: str, tiny_checkpoint: Save) -> None:
    source = tiny_checkpoint(model_type, "ForMaskedLM")
    model = AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=3, strict_mlm_check=True)
    stock = AutoModel.from_pretrained(source).eval()
    given = inputs(model)
    hidden_BTH = stock(given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
    wanted_BML = model.head(hidden_BTH[torch.arange(2)[:, None], INDICES_BM])
    assert torch.equal(model(**given).logits, wanted_BML)
    everywhere_BTL = model(**tiny.tiny_inputs(model)).logits
    assert torch.allclose(everywhere_BTL[torch.arange(2)[:, None], INDICES_BM], wanted_BML, atol=1e-6)


def test_no_positions_give_no_logits(model: Any) -> None:
    none = {**tiny.tiny_inputs(model), "mask_indices": torch.zeros((2, 0), dtype=torch.long)}
    output = model(**none, labels=torch.zeros((2, 0, 3)))
    assert (output.logits.shape, output.loss.item()) == ((2, 0, 3), 0)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (INDICES_BM.int(), r"torch\.int32, but they must be torch\.long"),
        (INDICES_BM.float(), r"torch\.float32, but they must be torch\.long"),
        (INDICES_BM[0], r"shape \[3\], but they must be \[2, M\]"),
        (INDICES_BM[:1], r"shape \[1, 3\], but they must be \[2, M\]"),
        (
            torch.tensor([[0, 9], [0, 0]]),
            r"shape \[2, 2\] go from 0 to 9, but the input has the tokens 0 to 8",
        ),
        (torch.tensor([[0, -1], [0, 0]]), r"shape \[2, 2\] go from -1 to 0"),
    ],
)
def test_positions_that_make_no_sense_are_refused(indices: torch.Tensor, message: str, model: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        model(**{**inputs(model), "mask_indices": indices})


def test_an_unlabelled_position_at_padding_is_warned_of(
    classes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(modeling_losses.logger, "warning_once", said.append, raising=False)
    classes(**inputs(classes))
    assert said == []
    classes(**{**inputs(classes), "mask_indices": torch.tensor([[1], [7]])})
    assert len(said) == 1 and "padding" in said[0]


@pytest.mark.parametrize("labelled", [False, True])
def test_a_tuple_comes_where_one_is_asked_for(labelled: bool, classes: Any) -> None:
    labels = {"labels": torch.zeros(2, 3, dtype=torch.long)} if labelled else {}
    output = classes(**inputs(classes), **labels)
    found = classes(**inputs(classes), **labels, return_dict=False)
    assert isinstance(found, tuple) and torch.equal(found[-1], output.logits)
    assert len(found) == len(output)


def test_segments_are_passed_on_where_the_encoder_has_them(tiny_checkpoint: Save) -> None:
    for model_type, moves in (
        ("bert", True),
        ("electra", True),
        ("distilbert", False),
        ("modernbert", False),
    ):
        model = AutoModelForMaskedSeqModeling.from_pretrained(
            tiny_checkpoint(model_type, "Model"), num_labels=2
        )
        given = inputs(model)
        segments = torch.ones_like(given["input_ids"])
        same = torch.equal(model(**given).logits, model(**given, token_type_ids=segments).logits)
        assert same != moves, model_type


def test_probabilities_are_those_of_the_task(model: Any, classes: Any) -> None:
    logits = torch.randn(2, 3, 3)
    assert torch.equal(model.predict_proba(logits), torch.sigmoid(logits))
    assert torch.equal(classes.predict_proba(logits), torch.softmax(logits, dim=-1))


def test_embeddings_can_be_replaced_and_fed(model: Any) -> None:
    given = inputs(model)
    wanted = model(**given).logits
    embedded = model.get_input_embeddings()(given.pop("input_ids"))
    assert torch.allclose(model(**given, inputs_embeds=embedded).logits, wanted, atol=1e-6)
    table = torch.nn.Embedding(5, tiny.HIDDEN)
    model.set_input_embeddings(table)
    assert model.base_model.get_input_embeddings() is table


def test_the_config_alone_builds_a_model() -> None:
    config = MaskedSeqConfig(base_model_config=tiny.tiny_config("bert").to_dict(), num_labels=4)
    model = modeling_masked_seq.MaskedSeqModel(config)
    assert model(torch.full((1, 5), 7)).logits.shape == (1, 5, 4)
    assert "pooler" not in "".join(model.state_dict())
