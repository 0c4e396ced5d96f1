"""Sequence classification: token ids as in training, and the meaning of logits."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import BertConfig, PreTrainedConfig

from prunecli.checkpoints.folder import Checkpoint
from prunecli.config import PredictConfig
from prunecli.errors import InputError
from prunecli.inference.document_reader import relevance
from prunecli.inference.documents import Document, Question
from prunecli.inference.formats import Record
from prunecli.inference.kinds.base import Row, Setting
from prunecli.inference.kinds.classification import Classification
from prunecli.inference.kinds.reranking import Reranking
from tests import tiny

NAMES = {0: "bad", 1: "dull", 2: "good"}


def kind(
    config: PreTrainedConfig,
    max_length: int = 64,
    count: Callable[[str], None] = print,
    activation: str = "auto",
) -> Classification:
    tokenizer = tiny.tiny_tokenizer("bert")
    options = PredictConfig.of({"checkpoint": "x", "activation": activation})
    return Classification(
        Setting(Checkpoint(Path("x"), {}, {}), config, tokenizer, max_length, options, count)
    )


def decode(logits_RL: list[list[float]], activation: str = "auto", **config: object) -> list[Record]:
    reads = kind(BertConfig(**config), activation=activation)
    return [reads.decode(("",), [], [{"logits": torch.tensor(row)}]) for row in logits_RL]


def test_one_label_has_its_softmax_probability() -> None:
    first, second = decode([[0.0, 1.0, 3.0], [5.0, 0.0, 0.0]], id2label=NAMES)
    assert (first["label"], second["label"]) == ("good", "bad")
    assert (first["score_raw"], second["score_raw"]) == (3.0, 5.0)
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


@pytest.mark.parametrize(
    ("activation", "score"), [("sigmoid", 0.952574), ("none", 3.0), ("softmax", 0.843795)]
)
def test_an_activation_makes_the_score_and_leaves_the_rest(activation: str, score: float) -> None:
    (found,) = decode([[0.0, 1.0, 3.0]], activation, id2label=NAMES)
    assert found == {"label": "good", "score": pytest.approx(score), "score_raw": 3.0}
    if activation == "softmax":
        with pytest.raises(InputError, match="of one label is 1"):
            decode([[3.0]], activation, num_labels=1)
        return
    (value,) = decode([[3.0]], activation, num_labels=1)
    assert value["score"] == pytest.approx(score)
    assert ("score_raw" in value) == (activation != "none")


@pytest.mark.parametrize("activation", ["auto", "sigmoid", "none"])
def test_an_activation_changes_no_order(activation: str) -> None:
    question = Question("who", (Document("a"), Document("b")), several=True)
    rows = [Row({"input_ids": [1]}, SimpleNamespace(document=number)) for number in range(2)]
    outputs = relevance(torch.tensor([[5.0, 4.0], [-3.0, 1.0]]), activation)
    reads = Reranking.__new__(Reranking)
    found = reads.decode(
        question, rows, [{name: values[row] for name, values in outputs.items()} for row in range(2)]
    )
    assert [result["index"] for result in found["results"]] == [1, 0]
    assert found["results"][0].keys() == {"index", "score", "score_raw"}
    assert found["results"][0]["score"] == pytest.approx(
        {"auto": 0.982014, "sigmoid": 0.731059, "none": 1.0}[activation]
    )


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
    seen: list[str] = []
    rows = kind(BertConfig(), 9, seen.append).encode(pairs)
    firsts, seconds = map(list, zip(*pairs, strict=True))
    expected = tokenizer(firsts, seconds, truncation=True, max_length=9)
    assert [dict(row.inputs) for (row,) in rows] == [
        {name: values[number] for name, values in expected.items()} for number in range(len(pairs))
    ]
    assert [row.tokens for (row,) in rows] == [6, 9, 9, 9]
    assert seen == ["records_cut"] * 2  # the second pair fits exactly
