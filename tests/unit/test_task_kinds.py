"""What each kind of task makes of columns, labels and rows, and how it scores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import EvalPrediction

from prunecli.errors import InputError
from prunecli.tasks import Task, TaskData, kinds, load_task
from prunecli.tasks.data import targets
from prunecli.tasks.features import Features
from prunecli.tasks.kinds import masked_lm
from tests import tiny

Rows = list[dict[str, Any]]
IGNORED = -100


def folder_of(folder: Path, rows: Rows) -> str:
    """Write rows as both splits."""
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def features_of(data: TaskData, model_type: str = "bert") -> Features:
    """Return features as a tiny model gets them."""
    return data.task.kind.features(data, tiny.tiny_tokenizer(model_type), 32)


def data_of(kind: str, columns: dict[str, list[Any]], **more: Any) -> TaskData:
    """Return a task with the same rows in both splits; the last column is the label's."""
    *texts, label = columns
    task = Task("own", kinds.get(kind), tuple(texts), ("accuracy",), label_column=label, **more)
    rows = Dataset.from_dict(columns)
    return TaskData(task, rows, rows, "test")


@pytest.mark.parametrize("name", kinds.names())
def test_a_kind_is_called_as_its_file(name: str) -> None:
    assert kinds.get(name).name == name


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(InputError, match="'multilabel' is not known") as raised:
        kinds.get("multilabel")
    assert raised.value.fix == "did you mean multi-label?"


ANSWERS = {"text": ["a"], "answer_start": [0]}
READINGS: list[tuple[dict[str, Any], str]] = [
    ({"text": "a", "label": "x"}, "classification"),
    ({"text": "a", "label": 0}, "classification"),
    ({"text": "a", "label": True}, "classification"),
    ({"text": "a", "label": 0.5}, "regression"),
    ({"text": "a", "labels": ["x"]}, "multi-label"),
    ({"text": "a", "label": [0, 1]}, "multi-label"),
    ({"text": "a", "labels": [0.0, 1.0]}, "multi-label"),
    ({"tokens": ["a"], "tags": ["O"]}, "token-classification"),
    ({"tokens": ["a"], "ner_tags": [0], "id": 3}, "token-classification"),
    ({"question": "a", "choices": ["b", "c"], "label": 1}, "multiple-choice"),
    ({"context": "a", "question": "b", "choices": ["b", "c"], "label": 1}, "multiple-choice"),
    ({"question": "a", "context": "a", "answers": ANSWERS}, "question-answering"),
    ({"query": "a", "sentences": ["a", "b"], "relevant": [0, 1]}, "context-pruning"),
    (
        {"question": "a", "sentences": [["a"], ["b", "c"]], "relevant": [[True], [False, True]]},
        "context-pruning",
    ),
    ({"question": "a", "passages": ["a", "b"], "relevant": [True, False]}, "context-pruning"),
    ({"text": "a b", "mask_indices": [1, 2], "labels": ["x", "y"]}, "masked-seq"),
    ({"text": "a b", "spans": [[0, 1], [2, 3]], "labels": [["x"], ["x", "y"]]}, "masked-seq"),
]


@pytest.mark.parametrize(("row", "kind"), READINGS)
def test_columns_tell_the_kind(row: dict[str, Any], kind: str, tmp_path: Path) -> None:
    task = load_task(folder_of(tmp_path, [row] * 2)).task
    assert task.kind.name == kind
    assert set(task.all_columns) == row.keys() - {"id"}


def test_columns_of_other_names_tell_it_too(tmp_path: Path) -> None:
    rows = [{"start": "a", "ends": ["b", "c"], "right": 1}]
    task = load_task(folder_of(tmp_path, rows), text_columns="start,ends", label_column="right").task
    assert (task.kind.name, task.columns) == ("multiple-choice", ("start", "ends"))


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"text": "a", "label": 4}, "regression"),
        ({"text": "a", "label": 1.0}, "classification"),
        ({"text": "a", "label": 0.5}, "masked-lm"),
        ({"text": "a"}, "masked-lm"),
    ],
)
def test_a_kind_may_be_insisted_on(row: dict[str, Any], kind: str, tmp_path: Path) -> None:
    data = load_task(folder_of(tmp_path, [row] * 2), kind=kind)
    assert data.task.kind.name == kind
    assert len(targets(data.task, data.train)) == 2


@pytest.mark.parametrize(
    ("row", "asked", "message", "fix"),
    [
        ({"body": "a", "label": 1}, {}, r"train\.jsonl: .*body \(text\), label \(whole numbers\)", "--text-columns"),
        ({"text": "a"}, {}, r"no kind .*text \(text\)", "--task-kind"),
        (
            {"text": "a", "label": 1, "labels": ["x"]}, {},
            r"could be for classification \(text, label\) or multi-label \(text, labels\)", "--task-kind",
        ),
        ({"text": "a", "label": 1}, {"kind": "token-classification"}, "no column 'tokens'", "--text-columns"),
        ({"text": "a", "labl": 1}, {"label_column": "lable"}, "no column 'lable'", "did you mean labl?"),
        ({"tokens": "a b", "tags": ["O"]}, {"kind": "token-classification"}, "holds text, but .* needs lists", "CSV"),
        ({"text": "a", "label": 1}, {"kind": "masked-lm", "text_columns": "text,text"}, "reads 1 col", "--text"),
        ({"text": 3, "label": 1}, {"kind": "classification"}, "'text' holds whole numbers", "--text-columns"),
        ({"text": "a", "label": 1}, {"text_columns": "text,,"}, "has an empty name", "A,B"),
    ],
)  # fmt: skip
def test_columns_that_fit_no_kind_are_refused(
    row: dict[str, Any], asked: dict[str, Any], message: str, fix: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        load_task(folder_of(tmp_path, [row] * 2), **asked)
    assert fix in str(raised.value.fix)


def test_a_known_task_keeps_its_kind() -> None:
    with pytest.raises(InputError, match="task demo is of kind classification"):
        load_task("demo", kind="regression")


TOKENS = {"tokens": ["a", "b"], "tags": ["O", "O"]}
CHOICES = {"question": "a", "choices": ["b", "c"], "label": 1}
BROKEN: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (TOKENS, {"tags": ["O"]}, "2 words, but 1 labels"),
    (TOKENS, {"tokens": ["a", None]}, "word 2 of column 'tokens' is empty"),
    (TOKENS, {"tags": None}, "tags None is not a list"),
    (TOKENS, {"tokens": None}, "column 'tokens' is empty"),
    (CHOICES, {"label": 2}, "label 2 is none of 2 choices"),
    (CHOICES, {"label": None}, "label None is none of 2 choices"),
    (CHOICES, {"choices": ["a", "b", "c"]}, "3 choices, but 2 in the first row"),
    (CHOICES, {"choices": ["a"]}, "no two choices"),
    ({"text": "a", "labels": ["x"]}, {"labels": None}, "labels None is not a list"),
    ({"text": "a", "labels": ["x"]}, {"text": None}, "column 'text' is empty"),
    ({"text": "a", "label": 0.5}, {"label": None}, "label None is not a number"),
    ({"question": "a", "context": "a", "answers": ANSWERS},
     {"answers": {"text": ["abc"], "answer_start": [0]}}, "'abc' at character 0 lies outside"),
    ({"question": "a", "context": "a", "answers": ANSWERS},
     {"answers": {"text": ["a"], "answer_start": []}}, "are no answers"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "change", "message"), BROKEN)
def test_a_row_that_makes_no_sense_is_named_with_its_file(
    good: dict[str, Any], change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"train\.jsonl, row 3: .*{message}"):
        load_task(folder_of(tmp_path, [good, good, {**good, **change}]))


def test_a_row_of_a_single_file_is_counted_in_the_file(tmp_path: Path) -> None:
    rows = [TOKENS] * 30 + [{**TOKENS, "tags": ["O"]}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"rows\.jsonl, row 31: "):
        load_task(str(tmp_path / "rows.jsonl"))


def test_a_label_that_only_validation_has_is_named(tmp_path: Path) -> None:
    folder_of(tmp_path, [{"text": "a", "labels": ["x"]}])
    (tmp_path / "validation.jsonl").write_text('{"text": "a", "labels": ["y"]}\n')
    with pytest.raises(InputError, match=r"validation\.jsonl, row 1: label 'y' is not one of the 1 labels"):
        load_task(str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "names", "vectors"),
    [
        ([["x", "z"], [], ["y"]], ("x", "y", "z"), [[1, 0, 1], [0, 0, 0], [0, 1, 0]]),
        ([[0, 2], [], [1]], ("0", "1", "2"), [[1, 0, 1], [0, 0, 0], [0, 1, 0]]),
        ([[0, 1, 1], [0, 0, 0]], ("0", "1", "2"), [[0, 1, 1], [0, 0, 0]]),
        ([[0.0, 1.0], [1.0, 1.0]], ("0", "1"), [[0, 1], [1, 1]]),
        ([[0], [1]], ("0", "1"), [[1, 0], [0, 1]]),
    ],
)
def test_several_labels_are_names_ids_or_vectors(
    labels: list[list[Any]], names: tuple[str, ...], vectors: list[list[int]], tmp_path: Path
) -> None:
    data = load_task(folder_of(tmp_path, [{"text": "a", "labels": row} for row in labels]))
    assert data.task.labels == names
    assert targets(data.task, data.train) == vectors


def test_several_labels_hold_where_the_logit_is_positive() -> None:
    data = data_of("multi-label", {"text": ["a", "b"], "labels": [["x"], ["x", "y"]]}, labels=("x", "y"))
    data = TaskData(
        Task(**{**fields(data.task), "metrics": ("f1_micro", "f1_macro")}), data.train, data.validation, ""
    )
    found = features_of(data)
    assert found.collate([found.train[0]])["labels"].dtype == torch.float32
    logits, labels = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])
    # Label x: two of two; label y: one false alarm and one miss. Together 2 hits of 3 found and 3 true.
    assert found.score(EvalPrediction(logits, labels)) == {"f1_micro": pytest.approx(2 / 3), "f1_macro": 0.5}


def fields(task: Task) -> dict[str, Any]:
    """Return a task's fields by name."""
    return {name: getattr(task, name) for name in Task.__dataclass_fields__}


TAGGED = {"tokens": [["we", "saw", "kavya", "on", "monday"]], "tags": [["O", "O", "B-PER", "O", "B-DAY"]]}
NAMES = ("B-DAY", "B-PER", "O")


@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta"])
def test_a_words_label_stands_at_its_first_piece(model_type: str) -> None:
    found = features_of(data_of("token-classification", TAGGED, labels=NAMES), model_type)
    tokenizer = tiny.tiny_tokenizer(model_type)
    row = found.train[0]
    pieces = tokenizer.convert_ids_to_tokens(row["input_ids"])
    labelled = [
        (piece, NAMES[label]) for piece, label in zip(pieces, row["labels"], strict=True) if label >= 0
    ]
    assert [name for _, name in labelled] == TAGGED["tags"][0]
    starts = [piece[0] for piece, _ in labelled]  # of a word, or the space before it
    assert all(start in (word[0], "Ġ", "▁") for start, word in zip(starts, TAGGED["tokens"][0], strict=True))
    # Pieces are those of running text, spaces included.
    assert row["input_ids"] == tokenizer(" ".join(TAGGED["tokens"][0]))["input_ids"]


def test_padding_and_further_pieces_take_no_part_in_the_score() -> None:
    data = data_of("token-classification", TAGGED, labels=NAMES)
    task = Task(**{**fields(data.task), "metrics": ("f1", "accuracy")})
    found = features_of(TaskData(task, data.train, data.validation, ""))
    short = {"input_ids": [2, 3], "attention_mask": [1, 1], "labels": [IGNORED, IGNORED]}
    whole = {name: found.train[0][name] for name in short}
    labels = found.collate([whole, short])["labels"].numpy()
    right = np.where(labels == IGNORED, 0, labels)
    assert found.score(EvalPrediction(right, labels)) == {"f1": 1.0, "accuracy": 1.0}
    all_outside = np.full_like(labels, NAMES.index("O"))
    assert found.score(EvalPrediction(all_outside, labels)) == {"f1": 0.0, "accuracy": 0.6}


def test_labels_that_are_no_entities_have_an_accuracy_only(tmp_path: Path) -> None:
    data = load_task(folder_of(tmp_path, [{"tokens": ["a", "b"], "tags": ["NOUN", "VERB"]}]))
    assert data.task.metrics == ("accuracy",)


@pytest.mark.parametrize("texts", [("question",), ("context", "question")])
def test_a_batch_of_choices_has_one_block_a_row(texts: tuple[str, ...]) -> None:
    columns: dict[str, list[Any]] = {name: [f"{name} a", f"{name} b"] for name in texts}
    columns |= {"choices": [["good", "bad", "dull"], ["we", "saw", "it"]], "label": [0, 2]}
    found = features_of(data_of("multiple-choice", columns))
    batch = found.collate([{"input_ids": row["input_ids"], "labels": row["labels"]} for row in found.train])
    assert batch["input_ids"].shape[:2] == (2, 3)
    assert batch["labels"].tolist() == [0, 2]
    tokenizer = tiny.tiny_tokenizer("bert")
    pair = ("context b", "question b it") if len(texts) == 2 else ("question b", "it")
    assert found.train[1]["input_ids"][2] == tokenizer(*pair)["input_ids"]
    assert found.score(EvalPrediction(np.eye(3)[[0, 1]], np.array([0, 2]))) == {"accuracy": 0.5}


LINES = {"text": ["the film was good and we saw it on monday", "dull", "not very good and not very bad"]}


def masked_features() -> Features:
    """Return the features of three texts."""
    rows = Dataset.from_dict(LINES)
    task = Task("own", kinds.get("masked-lm"), ("text",), ("accuracy",), label_column=None)
    return features_of(TaskData(task, rows, rows, ""))


def test_validation_is_masked_once_and_for_all() -> None:
    first, again = masked_features().validation, masked_features().validation
    assert first.to_dict() == again.to_dict()
    assert all(any(label != IGNORED for label in row["labels"]) for row in first)


def test_a_batch_is_masked_anew_but_always_the_same_way() -> None:
    found = masked_features()
    rows = [{name: row[name] for name in ("input_ids", "attention_mask")} for row in found.train]
    torch.manual_seed(1)
    first = found.collate(rows)
    torch.manual_seed(2)
    assert torch.equal(found.collate(rows)["input_ids"], first["input_ids"])
    turned = found.collate(rows[::-1])
    assert not torch.equal(turned["labels"].flip(0), first["labels"])


def test_only_masked_tokens_are_changed_and_labelled() -> None:
    tokenizer, random = tiny.tiny_tokenizer("bert"), np.random.default_rng(0)
    ids = [2, *([7] * 2000), 3]
    masked, labels = masked_lm.mask(ids, tokenizer, random)
    places = [place for place, label in enumerate(labels) if label != IGNORED]
    assert len(places) == 300
    assert all(labels[place] == 7 for place in places)
    assert all(masked[place] == ids[place] for place in range(len(ids)) if place not in places)
    to_mask = sum(masked[place] == tokenizer.mask_token_id for place in places)
    same = sum(masked[place] == 7 for place in places)
    assert 0.74 < to_mask / 300 < 0.86 and 0.05 < same / 300 < 0.16


def test_a_short_text_has_one_masked_token() -> None:
    _, labels = masked_lm.mask([2, 7, 3], tiny.tiny_tokenizer("bert"), np.random.default_rng(0))
    assert labels == [IGNORED, 7, IGNORED]


def test_perplexity_is_that_of_the_masked_tokens() -> None:
    found = masked_features()
    assert found.reduce is not None
    logits = torch.tensor([[[0.0, 0.0], [5.0, -5.0], [0.0, 0.0]]])  # one text of three tokens, two words
    labels = torch.tensor([[0, IGNORED, 1]])
    likeliest, cost = found.reduce(logits, labels)
    score = found.score(EvalPrediction((likeliest.numpy(), cost.numpy()), labels.numpy()))
    assert score == {"accuracy": 0.5, "perplexity": pytest.approx(2)}
