"""Sequence classification: token ids as in training, and the meaning of logits."""

import math

import pytest
import torch
from transformers import BertConfig

from prunecli.inference.kinds.base import Rows
from prunecli.inference.kinds.sequence_classification import KIND
from prunecli.inference.records import Record
from prunecli.inference.text_fields import Item
from tests import tiny

NAMES = {0: "bad", 1: "dull", 2: "good"}


def decode(logits_RL: list[list[float]], **config: object) -> list[Record]:
    outputs = [{"logits": torch.tensor(row)} for row in logits_RL]
    return KIND.decode(Rows({}, 0), outputs, BertConfig(**config))


def test_one_label_has_its_softmax_probability() -> None:
    first, second = decode([[0.0, 1.0, 3.0], [5.0, 0.0, 0.0]], id2label=NAMES)
    assert (first["label"], second["label"]) == ("good", "bad")
    assert first["score"] == pytest.approx(math.exp(3) / (1 + math.exp(1) + math.exp(3)))


def test_several_labels_are_those_over_a_half() -> None:
    found = decode(
        [[0.0, 2.0, 1.0], [-1.0, -1.0, -1.0]], id2label=NAMES, problem_type="multi_label_classification"
    )
    assert [record["label"] for record in found] == [["dull", "good"], []]
    assert found[0]["score"] == pytest.approx({"bad": 0.5, "dull": 0.880797, "good": 0.731059})


@pytest.mark.parametrize("problem_type", [None, "regression"])
def test_a_regression_has_a_raw_value_and_no_label(problem_type: str | None) -> None:
    assert decode([[4.5], [-0.25]], num_labels=1, problem_type=problem_type) == [
        {"score": 4.5},
        {"score": -0.25},
    ]


def test_several_values_come_by_name() -> None:
    found = decode([[1.0, 2.0, -3.0]], id2label=NAMES, problem_type="regression")
    assert found == [{"score": {"bad": 1.0, "dull": 2.0, "good": -3.0}}]


def test_a_text_is_tokenised_as_in_training_and_counted_where_it_was_cut() -> None:
    tokenizer = tiny.tiny_tokenizer("bert")
    pairs = [
        ("good film", "bad"),
        ("good " * 5, "bad"),
        ("good " * 6, "bad"),
        ("a", "very dull " * 20),
    ]
    rows = KIND.encode([Item({}, pair) for pair in pairs], tokenizer, 9)
    firsts, seconds = map(list, zip(*pairs, strict=True))
    assert rows.inputs == dict(tokenizer(firsts, seconds, truncation=True, max_length=9))
    assert [len(ids) for ids in rows.inputs["input_ids"]] == [6, 9, 9, 9]
    assert rows.truncated == 2  # the second pair fits exactly
