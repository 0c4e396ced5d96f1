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
