"""Entity spans and their F1; the expected scores are those of seqeval 1.2.2."""

import numpy as np
import pytest

from prunecli.tasks import entities


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", set()),
        ("B-A I-A O B-A", {("A", 0, 2), ("A", 3, 4)}),
        ("B-A B-A", {("A", 0, 1), ("A", 1, 2)}),
        ("O I-A I-A", {("A", 1, 3)}),
        ("B-A I-B", {("A", 0, 1), ("B", 1, 2)}),
        ("B-A I-A E-A S-A S-A", {("A", 0, 3), ("A", 3, 4), ("A", 4, 5)}),
        ("B-A-B I-A-B", {("A-B", 0, 2)}),
    ],
)
def test_spans_are_those_of_the_conll_script(tags: str, spans: set[entities.Span]) -> None:
    assert entities.spans(tags.split()) == spans


TRUE = ["B-PER I-PER O B-LOC", "O O B-ORG I-ORG I-ORG", "B-LOC B-LOC O", "O"]


@pytest.mark.parametrize(
    ("predicted", "f1"),
    [
        (TRUE, 1.0),
        (["B-PER I-PER O O", "O O B-ORG I-ORG O", "B-LOC I-LOC O", "O"], 0.25),
        (["B-PER I-PER O B-LOC", "B-PER O B-ORG I-ORG I-ORG", "B-LOC B-LOC O", "B-LOC"], 0.8333333333333333),
        (["I-PER I-PER O I-LOC", "O O I-ORG I-ORG I-ORG", "B-LOC B-PER O", "O"], 0.8),
        (["O O O O", "O O O O O", "O O O", "O"], 0.0),
    ],
)
def test_f1_is_that_of_seqeval(predicted: list[str], f1: float) -> None:
    found, wanted = ([row.split() for row in rows] for rows in (predicted, TRUE))
    assert entities.f1(found, wanted) == pytest.approx(f1)


def test_no_entities_on_either_side_are_0() -> None:
    assert entities.f1([["O"]], [["O"]]) == 0


def test_swapping_the_sides_changes_nothing() -> None:
    random = np.random.default_rng(0)
    tags = ["O", "B-A", "I-A", "B-B", "I-B"]
    left, right = ([list(map(str, random.choice(tags, 8))) for _ in range(20)] for _ in range(2))
    assert entities.f1(left, right) == entities.f1(right, left) > 0


@pytest.mark.parametrize(
    ("labels", "are"),
    [
        (("O", "B-PER", "I-PER"), True),
        (("B-PER",), True),
        (("O",), False),
        (("NOUN", "VERB"), False),
        (("0", "1"), False),
        ((), False),
    ],
)
def test_tags_are_told_from_other_labels(labels: tuple[str, ...], are: bool) -> None:
    assert entities.are_tags(labels) == are
