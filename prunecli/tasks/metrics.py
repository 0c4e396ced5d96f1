"""Metrics by name: from label arrays to one number. scikit-learn and scipy do the arithmetic."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]


def accuracy(predictions: Values, labels: Values) -> float:
    """Return the share of equal entries."""
    return float(np.mean(predictions == labels))


def f1(predictions: Values, labels: Values) -> float:
    """Return the F1 score of class 1, as GLUE reports it."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, zero_division=0))


def f1_micro(predictions: Values, labels: Values) -> float:
    """Return the F1 score of all decisions of several labels, [rows, labels] each 0 or 1."""
    return _f1_of_labels(predictions, labels, "micro")


def f1_macro(predictions: Values, labels: Values) -> float:
    """Return the mean of the labels' F1 scores, [rows, labels] each 0 or 1."""
    return _f1_of_labels(predictions, labels, "macro")


def matthews_correlation(predictions: Values, labels: Values) -> float:
    """Return Matthews' correlation coefficient."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predictions))


def pearson(predictions: Values, labels: Values) -> float:
    """Return Pearson's correlation; 0 where either side is constant."""
    from scipy.stats import pearsonr

    return _correlation(pearsonr, predictions, labels)


def spearman(predictions: Values, labels: Values) -> float:
    """Return Spearman's rank correlation; 0 where either side is constant."""
    from scipy.stats import spearmanr

    return _correlation(spearmanr, predictions, labels)


def _f1_of_labels(predictions: Values, labels: Values, average: str) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels.astype(int), predictions.astype(int), average=average, zero_division=0))


def _correlation(function: Callable[..., Any], predictions: Values, labels: Values) -> float:
    if np.ptp(predictions) == 0 or np.ptp(labels) == 0:
        return 0.0
    return float(function(predictions, labels).statistic)


METRICS: dict[str, Callable[[Values, Values], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "f1_macro": f1_macro,
    "f1_micro": f1_micro,
    "matthews_correlation": matthews_correlation,
    "pearson": pearson,
    "spearman": spearman,
}
