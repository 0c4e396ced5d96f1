"""Documents for queries: what rows mean, which tokens get which label, how sentences and documents are scored."""

from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import EvalPrediction

from prunecli.errors import InputError
from prunecli.tasks import Task, TaskData, context, kinds
from prunecli.tasks.columns import LIST, TEXT, WHOLE
from prunecli.tasks.context import Document
from prunecli.tasks.data import targets
from prunecli.tasks.negatives import with_others
from prunecli.tasks.own import Asked, own_task
from tests import tiny

KIND = kinds.get("context-pruning")
DOCUMENT = Document("was it good", ("the film was dull", " and not good", "we saw it"), (False, True, False))
# Second column and what it holds, the label, and the documents that are read: sentences and flags.
ROWS: list[tuple[str, Any, Any, list[tuple[tuple[str, ...], tuple[bool, ...]]]]] = [
    ("sentences", ["a", " ", "b"], [0, 1, 1], [(("a", "b"), (False, True))]),
    ("sentences", [["a", "b"], ["c"]], [[1, 0], [0]], [(("a", "b"), (True, False)), (("c",), (False,))]),
    ("passages", ["a", "b"], [True, False], [(("a",), (True,)), (("b",), (False,))]),
    ("document", "a b. c", 1, [(("a b. c",), (True,))]),
    ("sentences", ["a", "b"], 1, [(("a b",), (True,))]),
    ("sentences", [["a", "b"], ["c"]], [1, 0], [(("a b",), (True,)), (("c",), (False,))]),
]


def data_of(column: str, texts: Any, relevant: Any, **judged: Any) -> TaskData:
    task = Task("own", KIND, ("query", column, *judged), KIND.metrics(()), label_column="relevant")
    more = {name: [value] for name, value in judged.items()}
    rows = Dataset.from_dict({"query": ["was it good"], column: [texts], **more, "relevant": [relevant]})
    return TaskData(task, rows, rows, "test")


@pytest.mark.parametrize(("column", "texts", "relevant", "wanted"), ROWS)
def test_rows_are_read_as_documents(column: str, texts: Any, relevant: Any, wanted: Any) -> None:
    data = data_of(column, texts, relevant)
    [documents] = targets(data.task, data.train)
    assert documents == [Document("was it good", *pair) for pair in wanted]


@pytest.mark.parametrize(
    ("texts", "relevant", "said"),
    [
        (["a", "b"], [1], "2 texts, but 1 labels"),
        ([["a"], ["b"]], [[1], [0, 1]], "1 texts, but 2 labels"),
        (["a"], [2], "label 2 is neither 0 nor 1"),
        ("a", [""], "answer '' is no text"),
    ],
)
def test_rows_that_make_no_sense_are_refused(texts: Any, relevant: Any, said: str) -> None:
    data = data_of("sentences", texts, relevant)
    with pytest.raises(InputError, match=f"row 1: {said}"):
        targets(data.task, data.train)


def test_documents_are_judged_apart_from_their_sentences() -> None:
    texts, flags = [["the film was dull", "we saw it"], ["not good"], ["it was"]], [[1, 0], [0], [1]]
    data = data_of("sentences", texts, flags, passage_relevant=[1, 1, 0])
    [documents] = targets(data.task, data.train)
    assert [document.is_relevant for document in documents] == [True, True, False]
    found = context.windows(tiny.tiny_tokenizer("bert"), documents, 9)
    by_document = list(zip(found["document"], found["relevance"], strict=True))
    assert by_document == [(0, 1.0), (0, 0.0), (1, 1.0), (2, 0.0)]  # nothing says which window of the second


def test_passages_of_other_questions_go_with_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    passages = [f"They met in {year}, near Saint-Denis." for year in range(1900, 1950)]
    rows = [
        Document(f"q{year}", (text,), (True,), answers=(f"in {year}",))
        for year, text in enumerate(passages, 1900)
    ]
    rows += [Document("where", passages[:1], (True,), answers=("saint denis",)), DOCUMENT]
    found = list(with_others(rows))
    assert found == list(with_others(rows)) and found[-1] == DOCUMENT
    assert [document for document in found if document.is_relevant] == rows
    by_query = {query: [d.text for d in found if d.query == query] for query in ("q1900", "q1949", "where")}
    assert [len(set(texts)) for texts in by_query.values()] == [5, 5, 1]
    assert by_query["q1900"][1:] != by_query["q1949"][1:]
    assert caplog.messages == ["1 of 51 questions get fewer than 4 passages of others"] * 2


# Passages with their answers, all of the first question; a passage of another; whether it goes with the first.
OTHER: list[tuple[list[tuple[str, str]], str, bool]] = [
    ([("Columbus landed.", "Columbus"), ("Colombo led.", "Colombo")], "Cristoforo Colombo, again.", False),
    ([("Columbus landed.", "Columbus"), ("Colombo led.", "Colombo")], "It rained.", True),
    ([("It did not.", "no")], "They know the north.", True),
    ([("The Beatles did.", "The Beatles")], "Beatles sang.", False),
    ([("It is a.", "a")], "It rained.", False),  # nothing is left that could be looked for
    ([("杜甫写诗。", "杜甫")], "诗人杜甫来了。", False),  # no space between words
    ([("杜甫写诗。", "杜甫")], "李白来了。", True),
]


@pytest.mark.parametrize(("own", "other", "goes"), OTHER)
def test_a_question_meets_neither_its_answers_nor_its_passages(
    own: list[tuple[str, str]], other: str, goes: bool
) -> None:
    rows = [Document("q", (text,), (True,), answers=(answer,)) for text, answer in own]
    found = list(with_others([*rows, Document("r", (other,), (True,), answers=("zebra",))]))
    assert [d.text for d in found if d.query == "q" and not d.is_relevant] == [other] * goes


def test_answers_are_no_labels_of_a_text() -> None:
    shapes = {"question": TEXT, "answers": LIST + TEXT, "title": TEXT, "passage": TEXT}
    task = own_task("nq", "nq.parquet", shapes, Asked())
    assert (task.kind.name, task.all_columns) == ("context-pruning", ("question", "passage", "answers"))
    judged = {"query": TEXT, "sentences": LIST + TEXT, "passage_relevant": WHOLE}
    beside = own_task("own", "own.jsonl", {**judged, "relevant": LIST + WHOLE}, Asked())
    assert beside.all_columns == ("query", "sentences", "passage_relevant", "relevant")
    topics = {"title": TEXT, "body": TEXT, "topics": LIST + TEXT}
    assert own_task("own", "own.jsonl", topics, Asked("title,body", "topics")).kind.name == "multi-label"


@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta"])
@pytest.mark.parametrize("max_length", [12, 64])
def test_every_token_of_a_document_has_its_sentences_label(model_type: str, max_length: int) -> None:
    tokenizer = tiny.tiny_tokenizer(model_type)
    found = context.windows(tokenizer, [DOCUMENT], max_length)
    assert (len(found["input_ids"]) > 1) == (max_length == 12)
    assert all(len(ids) <= max_length for ids in found["input_ids"])
    pieces: dict[int, str] = {}
    for ids, labels, sentences in zip(found["input_ids"], found["labels"], found["sentence"], strict=True):
        assert all((label == -100) == (place < 0) for label, place in zip(labels, sentences, strict=True))
        assert all(
            label == DOCUMENT.relevant[place]
            for label, place in zip(labels, sentences, strict=True)
            if place >= 0
        )
        for token, place in zip(tokenizer.convert_ids_to_tokens(ids), sentences, strict=True):
            pieces[place] = pieces.get(place, "") + token.strip("#Ġ▁")
    assert [pieces[place] for place in range(3)] == [text.replace(" ", "") for text in DOCUMENT.sentences]
    assert found["relevance"] == [float(1 in labels) for labels in found["labels"]]


def test_scores_are_of_sentences_and_documents() -> None:
    """One query has two documents; the third belongs to another. A sentence counts by its tokens' mean."""
    documents = [
        Document("q", ("a", "b"), (True, False)),
        Document("q", ("c",), (False,)),
        Document("r", ("d", "e"), (True, True)),
    ]
    windows = {"document": [0, 0, 1, 2], "sentence": [[-1, 0, 0], [0, 1], [0], [0, 1]]}
    keep = np.array([[0.9, 0.3, 0.6], [0.9, 0.7, -100], [0.2, -100, -100], [0.9, 0.1, -100]])
    found = context.score(keep, None, windows, documents)  # kept: a (0.6), b (0.7), d
    assert found == pytest.approx(
        {"f1": 2 / 3, "precision": 2 / 3, "recall": 2 / 3, "passage_accuracy": 1, "mrr": 1}
    )
    ranked = context.score(keep, np.array([0.1, 0.4, 0.6, 0.9]), windows, documents)
    assert (ranked["f1"], ranked["passage_accuracy"], ranked["mrr"]) == pytest.approx((2 / 3, 1 / 3, 0.75))


def test_nothing_kept_and_nothing_relevant_is_zero() -> None:
    windows = {"document": [0], "sentence": [[0]]}
    found = context.score(np.array([[0.1]]), None, windows, [Document("q", ("a",), (False,))])
    assert found == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "passage_accuracy": 1.0, "mrr": 0.0}


@pytest.mark.parametrize("labels", [0, 1, 2])
def test_features_fit_the_model_and_its_score(labels: int) -> None:
    """Without a ranking, with one of one label, and with one of two."""
    data = data_of("sentences", [["the film", "was dull"], ["we saw it"]], [[1, 0], [0]])
    features = KIND.features(data, tiny.tiny_tokenizer("bert"), 32)
    batch = features.collate(list(features.validation.remove_columns("length")))
    assert batch["relevance"].tolist() == [0.0, 1.0] and batch["labels"].shape == batch["input_ids"].shape
    right_BTK = torch.nn.functional.one_hot(batch["labels"].clamp_min(0), 2) * 4.0
    score_B = batch["relevance"] * 4 - 2
    ranking_BL = torch.stack([-score_B, score_B], 1)[:, 2 - labels :]
    assert features.reduce is not None
    kept = features.reduce((right_BTK, ranking_BL) if labels else right_BTK, batch["labels"])
    output = EvalPrediction(kept if labels else kept.numpy(), batch["labels"].numpy())
    assert set(features.score(output).values()) == {1.0}
    assert set(features.score(output)) == set(KIND.metrics(()))
