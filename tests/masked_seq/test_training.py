"""Trainer, gradients and the self-test."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import Trainer, TrainingArguments

from prunecli import AutoModelForMaskedSeqModeling
from tests import tiny
from tests.masked_seq.conftest import Save, inputs


def test_a_trainer_trains_saves_and_reloads(classes: Any, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, tiny.VOCABULARY, (16, 6), generator=generator)
    rows = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mask_indices": ids % 6,
        "labels": ids % 3,
    }
    data = Dataset.from_dict({name: values.tolist() for name, values in rows.items()})
    arguments = TrainingArguments(
        str(tmp_path), max_steps=3, per_device_train_batch_size=8, learning_rate=1e-2, report_to=[],
        use_cpu=True, save_strategy="no", disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    trainer = Trainer(classes, arguments, train_dataset=data)
    before = classes(**rows).loss
    trainer.train()
    classes.eval()
    assert classes(**rows).loss < before
    trainer.save_model(str(tmp_path / "model"))
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path / "model")
    assert torch.equal(again(**rows).logits, classes(**rows).logits)


def test_gradients_are_the_same_with_checkpointing(classes: Any) -> None:
    given = {**inputs(classes), "labels": torch.zeros(2, 3, dtype=torch.long)}
    weight = classes.base_model.encoder.layer[0].output.dense.weight
    classes(**given).loss.backward()
    wanted, weight.grad = weight.grad, None
    with pytest.warns(FutureWarning):  # transformers 5.23 has another name for it, too new for others
        classes.gradient_checkpointing_enable()
    classes.train()
    for module in classes.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    classes(**given).loss.backward()
    assert torch.allclose(weight.grad, wanted, atol=1e-6)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_the_self_test_passes(task: str, tiny_checkpoint: Save) -> None:
    base = tiny_checkpoint("modernbert", "ForMaskedLM")
    assert AutoModelForMaskedSeqModeling.run_self_test(base=base, task=task, num_labels=3) == 0
