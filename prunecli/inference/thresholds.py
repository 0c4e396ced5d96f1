"""Thresholds of context pruning: where they come from, and which one is best on examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prunecli.checkpoints import strict_json
from prunecli.config import PredictConfig
from prunecli.errors import InputError

USUAL, USUAL_OF_PROVENCE = 0.5, 0.1
BETA = 2  # recall counts more: what is cut is lost to whoever reads the rest


def thresholds_for(options: PredictConfig, of_checkpoint: float | None) -> tuple[float, ...]:
    """Return the thresholds that are asked for, else the checkpoint's own, else the usual one.

    Where only the number of sentences, tokens or characters is bounded, every sentence may be kept.

    Raises:
        InputError: One is no number from 0 to 1, and no file of `--calibrate` either.
    """
    if options.threshold:
        return tuple(dict.fromkeys(_read(word) for word in options.threshold))
    if (options.top_sentences, options.budget_tokens, options.budget_characters) != (None, None, None):
        return (-1.0,)
    if options.compat is not None and of_checkpoint is None:
        return (USUAL_OF_PROVENCE,)
    return (USUAL if of_checkpoint is None else float(of_checkpoint),)


def _read(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = strict_json.read_object(Path(word)).get("threshold", -1.0)
    if not isinstance(value, float | int) or not 0 <= value <= 1:
        raise InputError(
            f"--threshold {word!r} is no number from 0 to 1", "name one, or a file that --calibrate wrote"
        )
    return float(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """The threshold with the best F2 on sentences that are known to be relevant or not.

    Attributes:
        threshold: Probability over which a sentence is kept.
        f2: Its F-measure in which recall counts twice as much.
        precision: Share of the kept sentences that are relevant.
        recall: Share of the relevant sentences that are kept.
        kept: Share of all sentences that are kept.
        sentences: How many there are.
        relevant: How many of them are relevant.
    """

    threshold: float
    f2: float
    precision: float
    recall: float
    kept: float
    sentences: int
    relevant: int


def choose(probabilities: Sequence[float], relevant: Sequence[bool]) -> Choice:
    """Choose the threshold; it lies half-way between two probabilities, so that neither is near it.

    Raises:
        InputError: No sentence is relevant.
    """
    if not any(relevant):
        raise InputError("no sentence is said to be relevant", "give records with relevant sentences")
    order = np.argsort(-np.asarray(probabilities, dtype=np.float64), kind="stable")
    sorted_ = np.asarray(probabilities, dtype=np.float64)[order]
    hits = np.cumsum(np.asarray(relevant)[order])
    kept = np.arange(1, len(order) + 1)
    precision, recall = hits / kept, hits / hits[-1]
    f2 = (1 + BETA**2) * hits / (kept + BETA**2 * hits[-1])
    after = np.append(sorted_[1:], 0.0)
    f2 = np.where(sorted_ > after, f2, -1.0)  # sentences of one probability stay or go together
    best = int(f2.argmax())
    return Choice(
        threshold=float((sorted_[best] + after[best]) / 2),
        f2=float(f2[best]),
        precision=float(precision[best]),
        recall=float(recall[best]),
        kept=float(kept[best] / len(order)),
        sentences=len(order),
        relevant=int(hits[-1]),
    )
