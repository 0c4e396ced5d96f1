"""Metrics are those of scikit-learn and scipy, and of the GLUE paper."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from prunecli.tasks import tasks
from prunecli.tasks.metrics import METRICS

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 2, 200)
CLASSES = np.where(RANDOM.random(200) < 0.7, LABELS, 1 - LABELS)
SCORES = RANDOM.normal(size=200)
RATINGS = SCORES + RANDOM.normal(size=200)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("accuracy", sklearn_metrics.accuracy_score),
        ("f1", sklearn_metrics.f1_score),
        ("matthews_correlation", sklearn_metrics.matthews_corrcoef),
    ],
)
def test_class_metrics_agree_with_scikit_learn(name: str, reference: Callable[..., float]) -> None:
    assert METRICS[name](CLASSES, LABELS) == pytest.approx(reference(LABELS, CLASSES))


@pytest.mark.parametrize(("name", "reference"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)])
def test_correlations_agree_with_scipy(name: str, reference: Callable[..., Any]) -> None:
    assert METRICS[name](SCORES, RATINGS) == pytest.approx(reference(SCORES, RATINGS).statistic)


@pytest.mark.parametrize("name", ["micro", "macro"])
def test_f1_of_several_labels_agrees_with_scikit_learn(name: str) -> None:
    labels, predictions = RANDOM.integers(0, 2, (2, 50, 4))
    labels[:, 3], predictions[:, 3] = 0, 0  # a label that never holds counts as 0 in the mean
    reference = sklearn_metrics.f1_score(labels, predictions, average=name, zero_division=0)
    assert METRICS[f"f1_{name}"](predictions, labels) == pytest.approx(reference)


def test_matthews_correlation_is_that_of_its_formula() -> None:
    """Six true positives, three true negatives, one false positive, two false negatives."""
    predictions, labels = np.array([1] * 6 + [0] * 3 + [1] + [0] * 2), np.array([1] * 6 + [0] * 4 + [1] * 2)
    assert METRICS["matthews_correlation"](predictions, labels) == pytest.approx(
        (6 * 3 - 1 * 2) / np.sqrt((6 + 1) * (6 + 2) * (3 + 1) * (3 + 2))
    )


def test_spearman_gives_ties_their_mean_rank() -> None:
    """Ranks 1, 2.5, 2.5, 4 against 2, 1, 3, 4: the correlation of these ranks."""
    found = METRICS["spearman"](np.array([1.0, 2.0, 2.0, 3.0]), np.array([20.0, 10.0, 30.0, 40.0]))
    assert found == pytest.approx(np.corrcoef([1, 2.5, 2.5, 4], [2, 1, 3, 4])[0, 1])


@pytest.mark.parametrize(("name", "reference"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)])
def test_correlations_of_ratings_in_steps_agree_with_scipy(name: str, reference: Callable[..., Any]) -> None:
    ratings = np.round(RATINGS * 2) / 2  # as those of STS-B: many ties
    assert METRICS[name](SCORES, ratings) == pytest.approx(reference(SCORES, ratings).statistic)


# What GLUE reports of each task (Wang et al. 2019, https://arxiv.org/abs/1804.07461, table 1).
GLUE = {
    "cola": {"matthews_correlation"}, "sst2": {"accuracy"}, "mrpc": {"accuracy", "f1"},
    "stsb": {"pearson", "spearman"}, "qqp": {"accuracy", "f1"}, "mnli": {"accuracy"}, "qnli": {"accuracy"},
    "rte": {"accuracy"}, "wnli": {"accuracy"},
}  # fmt: skip


@pytest.mark.parametrize("name", GLUE)
def test_every_task_of_glue_has_the_metrics_of_glue(name: str) -> None:
    assert GLUE[name] <= set(tasks()[name].metrics)


def test_accuracy_of_three_in_four() -> None:
    assert METRICS["accuracy"](np.array([1, 0, 2, 2]), np.array([1, 0, 2, 1])) == 0.75


def test_f1_is_of_class_one() -> None:
    predictions, labels = np.array([1, 1, 0, 0, 0]), np.array([1, 0, 1, 0, 0])
    assert METRICS["f1"](predictions, labels) == 0.5  # one hit, one false alarm, one miss


@pytest.mark.parametrize("name", METRICS)
def test_constant_predictions_give_a_number_and_no_warning(name: str) -> None:
    assert np.isfinite(METRICS[name](np.zeros(10), np.array([0, 1] * 5)))


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_single_row_has_no_correlation(name: str) -> None:
    assert METRICS[name](np.array([1.0]), np.array([2.0])) == 0


def test_every_task_names_metrics_that_there_are() -> None:
    spans = {"f1", "exact_match"}  # of question answering, in tasks/squad.py
    for task in tasks().values():
        assert set(task.metrics) <= (spans if task.kind.name == "question-answering" else METRICS.keys())
