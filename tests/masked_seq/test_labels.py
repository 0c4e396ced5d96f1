"""Labels of positions: their names, what they cost, and which make no sense."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.nn import functional

from prunecli import AutoModelForMaskedSeqModeling
from prunecli.errors import InputError, UnsupportedModelError
from tests.masked_seq.conftest import NAMES, Save, inputs

# What the caller says of labels, and what of it is wrong.
WRONG_LABELS: list[tuple[dict[str, Any], str]] = [
    ({}, "say how many labels|num_labels is None"),
    ({"num_labels": 2, "id2label": NAMES}, "num_labels is 2, and 3 labels have names"),
    ({"id2label": {0: "a", 4: "b"}}, "give each id from 0 a name of its own"),
    ({"id2label": {0: "a", 1: "a"}}, "give each id from 0 a name of its own"),
    ({"label2id": {"a": 0, "b": 0}}, "give each id from 0 a name of its own"),
    ({"id2label": {0: "a"}, "label2id": {"b": 0}}, "give each id from 0 a name of its own"),
    ({"num_labels": 2, "task": "regression"}, "neither 'multilabel' nor 'multiclass'"),
    ({"num_labels": 2, "base_model_attr_name": "head"}, "is taken"),
    ({"num_labels": 2, "base_model_attr_name": "config class"}, "is taken"),
    ({"num_labels": 2, "base_model_attr_name": "training"}, "is taken"),
]


@pytest.mark.parametrize(("said", "message"), WRONG_LABELS)
def test_labels_and_names_that_make_no_sense_are_refused(
    said: dict[str, Any], message: str, tiny_checkpoint: Save
) -> None:
    with pytest.raises(InputError, match=message):
        AutoModelForMaskedSeqModeling.from_pretrained(tiny_checkpoint("bert", "Model"), **said)


@pytest.mark.parametrize("strict", [False, True])
def test_a_strict_check_refuses_an_encoder_without_a_language_model(strict: bool, tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
    config = transformers.SplinterConfig(vocab_size=50, max_position_embeddings=32, **sizes)
    transformers.SplinterModel(config).save_pretrained(tmp_path)
    load = functools.partial(AutoModelForMaskedSeqModeling.from_pretrained, tmp_path, num_labels=2)
    if strict:
        with pytest.raises(UnsupportedModelError, match="AutoModelForMaskedLM knows no splinter"):
            load(strict_mlm_check=True)
    else:
        assert load()(torch.full((1, 4), 7)).logits.shape == (1, 4, 2)


def test_multilabel_loss_is_the_mean_over_counted_positions(model: Any) -> None:
    labels_BML = torch.randint(0, 2, (2, 3, 3)).float()
    labels_BML[0, 2] = -100
    labels_BML[1, 1, 0] = -100
    output = model(**inputs(model), labels=labels_BML)
    kept = torch.tensor([[True, True, False], [True, False, True]])
    wanted = functional.binary_cross_entropy_with_logits(output.logits[kept], labels_BML[kept])
    assert torch.allclose(output.loss, wanted)


def test_multiclass_loss_is_the_mean_over_counted_positions(classes: Any) -> None:
    labels_BM = torch.tensor([[1, 2, -100], [0, -100, 2]])
    output = classes(**inputs(classes), labels=labels_BM)
    wanted = functional.cross_entropy(output.logits.flatten(0, 1), labels_BM.flatten())
    assert torch.allclose(output.loss, wanted)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_a_batch_that_is_ignored_whole_costs_nothing(task: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue("model" if task == "multilabel" else "classes")
    labels = torch.full((2, 3, 3) if task == "multilabel" else (2, 3), -100)
    loss = model(**inputs(model), labels=labels).loss
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, 3), r"labels have shape \[2, 3\], .* must be \[2, 3, 3\]"),
        (torch.zeros(2, 2, 3), r"labels have shape \[2, 2, 3\]"),
        (torch.tensor([0.0, 1, -100]).expand(2, 3, 3), r"hold -100, but for multilabel they go from 0 to 1"),
        (torch.full((2, 3, 3), 2.0), r"hold 2, but for multilabel they go from 0 to 1"),
    ],
)
def test_multilabel_labels_that_make_no_sense_are_refused(
    labels: torch.Tensor, message: str, model: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        model(**inputs(model), labels=labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, 3, 3, dtype=torch.long), r"must be \[2, 3\]"),
        (torch.full((2, 3), 3), r"hold 3, but for multiclass they go from 0 to 2"),
        (torch.full((2, 3), -1), "hold -1"),
    ],
)
def test_multiclass_labels_that_make_no_sense_are_refused(
    labels: torch.Tensor, message: str, classes: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        classes(**inputs(classes), labels=labels)


def test_a_labelled_position_at_padding_is_refused(classes: Any) -> None:
    given = {**inputs(classes), "mask_indices": torch.tensor([[1, 4], [0, 7]])}
    with pytest.raises(ValueError, match=r"mask_indices\[1, 1\] is 7, which is padding"):
        classes(**given, labels=torch.zeros(2, 2, dtype=torch.long))
    assert classes(**given, labels=torch.tensor([[0, 0], [0, -100]])).loss > 0
