"""Learning from the dense model: zero where nothing differs, for every head; padding does not count."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainingArguments
from transformers.modeling_outputs import (
    BaseModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

from prunecli.calibration.divergence import divergence
from prunecli.training.distillation import TEMPERATURE, WEIGHT, Teacher
from prunecli.training.trainer import MaskTrainer
from tests import tiny

MASK = torch.tensor([[1, 1, 1], [1, 0, 0]])
OUTPUTS: dict[str, Any] = {
    "classes": lambda x: SequenceClassifierOutput(logits=x[:, 0]),
    "a number": lambda x: SequenceClassifierOutput(logits=x[:, 0, :1]),
    "tokens": lambda x: TokenClassifierOutput(logits=x),
    "answers": lambda x: QuestionAnsweringModelOutput(start_logits=x[..., 0], end_logits=x[..., 1]),
    "hidden states": lambda x: BaseModelOutput(last_hidden_state=x),
}


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_equal_outputs_have_no_divergence_and_others_have(kind: str, multi_label: bool) -> None:
    x, y = torch.randn(2, 3, 4), torch.randn(2, 3, 4, requires_grad=True)
    make = OUTPUTS[kind]
    assert divergence(make(x), make(x), multi_label, MASK).item() == pytest.approx(0.0, abs=1e-6)
    found = divergence(make(y), make(x), multi_label, MASK)
    assert found.item() > 0.01
    found.backward()
    assert y.grad is not None and y.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ["tokens", "hidden states"])
def test_padding_does_not_count(kind: str) -> None:
    x = torch.randn(2, 3, 4)
    y = x.clone()
    y[1, 1:] += 5.0
    assert divergence(OUTPUTS[kind](y), OUTPUTS[kind](x), False, MASK).item() == pytest.approx(0.0, abs=1e-6)


def test_the_divergence_is_kullback_leiblers() -> None:
    mine, wanted = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 0.0]])
    p, q = (logits.softmax(-1)[0] for logits in (wanted, mine))
    found = divergence(SimpleOutput(mine), SimpleOutput(wanted), False, MASK)
    assert found.item() == pytest.approx(float((p * (p / q).log()).sum()), rel=1e-5)


def SimpleOutput(logits: Any) -> SequenceClassifierOutput:
    return SequenceClassifierOutput(logits=logits)


def test_a_model_that_is_its_own_teacher_learns_the_labels_alone() -> None:
    model = tiny.tiny_model("bert")
    inputs = {**tiny.tiny_inputs(model), "labels": torch.tensor([0, 1])}
    outputs = model(**inputs, output_hidden_states=True)
    loss = Teacher(tiny.tiny_model("bert")).loss(outputs.loss, outputs, inputs)
    assert loss.item() == pytest.approx((1 - WEIGHT) * outputs.loss.item(), rel=1e-4)


def test_hidden_states_count_where_they_fit() -> None:
    teacher = tiny.tiny_model("bert")
    inputs = {**tiny.tiny_inputs(teacher), "labels": torch.tensor([0, 1])}
    for student, matched in (
        (tiny.tiny_model("bert", seed=1), True),
        (tiny.tiny_model("bert", num_hidden_layers=2), False),
    ):
        outputs = student(**inputs, output_hidden_states=True)
        plain = {name: value for name, value in inputs.items() if name != "labels"}
        soft = divergence(outputs, teacher(**plain), False, inputs["attention_mask"], TEMPERATURE)
        without = (1 - WEIGHT) * outputs.loss + WEIGHT * soft
        found = Teacher(teacher).loss(outputs.loss, outputs, inputs)
        assert (found.item() > without.item() + 0.1) == matched


def test_the_teacher_is_frozen() -> None:
    teacher = Teacher(tiny.tiny_model("bert").train())
    assert not teacher.model.training
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())
    assert not teacher.multi_label


def test_tokens_of_the_batch_stand_in_for_others_in_half_of_the_rows() -> None:
    rows, length, special = 400, 20, [0, 1, 2]
    ids = torch.arange(rows * length).view(rows, length) % 90 + 10
    ids[:, 0], ids[:, 9], ids[:, 15:] = 1, 2, 0
    mask = (ids != 0).long()
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": torch.zeros(rows)}
    teacher = Teacher(tiny.tiny_model("bert"), replaced=0.3, special=special)
    varied = teacher.varied(inputs)
    changed = varied["input_ids"] != ids
    assert not changed[torch.isin(ids, torch.tensor(special))].any()
    assert not torch.isin(varied["input_ids"][changed], torch.tensor(special)).any()
    assert varied["attention_mask"] is mask and varied["labels"] is inputs["labels"]
    rows_changed = changed.any(1)
    assert 0.4 < rows_changed.float().mean() < 0.6
    assert 0.25 < changed[rows_changed][:, 1:9].float().mean() < 0.35
    assert (inputs["input_ids"] == ids).all()
    assert Teacher(tiny.tiny_model("bert")).varied(inputs) is inputs


def test_labels_do_not_hold_for_varied_texts() -> None:
    model = tiny.tiny_model("bert")
    inputs = {**tiny.tiny_inputs(model), "labels": torch.tensor([0, 1])}
    outputs = model(**inputs, output_hidden_states=True)
    loss = Teacher(tiny.tiny_model("bert"), replaced=0.3).loss(outputs.loss, outputs, inputs)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)


def test_a_batch_of_special_tokens_alone_stays_as_it_is() -> None:
    inputs = {"input_ids": torch.tensor([[1, 2]]), "attention_mask": torch.tensor([[1, 1]])}
    assert Teacher(tiny.tiny_model("bert"), replaced=1.0, special=[1, 2]).varied(inputs) is inputs


def test_marks_of_positions_stay_and_go_nowhere_else() -> None:
    mark, rows = 99, 60
    ids = torch.arange(rows * 12).view(rows, 12) % 80 + 10
    ids[:, 4] = mark
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mask_indices": torch.full((rows, 1), 4),
    }
    varied = Teacher(tiny.tiny_model("bert"), replaced=0.9).varied(inputs)["input_ids"]
    assert (varied != ids).any() and ((varied == mark) == (ids == mark)).all()


def test_choices_of_a_row_are_varied_together() -> None:
    ids = torch.arange(40 * 3 * 30).view(40, 3, 30) % 900 + 10
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    changed = (Teacher(tiny.tiny_model("bert"), replaced=0.9).varied(inputs)["input_ids"] != ids).any(-1)
    assert 0 < changed.float().mean() < 1
    assert (changed.all(1) | ~changed.any(1)).all()


@pytest.mark.parametrize("family", ["bert", "modernbert", "deberta-v2", "distilbert"])
def test_a_student_that_equals_its_teacher_has_nothing_to_learn_whatever_its_dropout(
    family: str, tmp_path: Path
) -> None:
    """As the loss sees a model in the middle of training, without the labels' share of it."""
    student, wanted = tiny.tiny_model(family).train(), tiny.tiny_model(family)
    for module in student.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    teacher = Teacher(wanted)
    teacher.weight = 1.0
    trainer = MaskTrainer(student, TrainingArguments(tmp_path, report_to=[], use_cpu=True), teacher=teacher)
    inputs = {**tiny.tiny_inputs(student), "labels": torch.tensor([0, 1])}
    assert trainer.compute_loss(student, inputs).item() == pytest.approx(0.0, abs=1e-5)
    assert student.training  # the model itself still is: that is what the gates go by
    trainer.teacher = None
    student.train()
    losses = {trainer.compute_loss(student, inputs).item() for _ in range(3)}
    assert len(losses) > 1  # without a teacher, dropout is what it always was
