"""The training rows that scores and refits look at."""

from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

from prunecli.calibration.sublayers import Batch
from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.methods.base import Method, ScoreMethod
from prunecli.training.distillation import LABELS
from prunecli.training.session import Session

HELD_OUT = 8  # one batch in so many decides whether a refit helps


def calibration_examples(session: Session) -> tuple[list[Batch], list[dict[str, Tensor]]]:
    """Draw training rows without replacement, in batches of like length: model inputs, and their labels apart."""
    rows, device = session.features.train, next(session.loaded.model.parameters()).device
    wanted = min(session.config.calibration_rows, len(rows))
    drawn = np.random.default_rng(session.config.seed).choice(len(rows), wanted, replace=False)
    lengths = np.asarray(rows["length"])
    order = drawn[np.argsort(lengths[drawn], kind="stable")]
    size = session.config.batch_size
    batches: list[Batch] = []
    labels: list[dict[str, Tensor]] = []
    for start in range(0, len(order), size):
        chosen = rows.select(order[start : start + size]).remove_columns("length")
        batch = {name: value.to(device) for name, value in session.features.collate(list(chosen)).items()}
        labels.append({name: value for name, value in batch.items() if name in LABELS})
        batches.append({name: value for name, value in batch.items() if name not in LABELS})
    return batches, labels


def check_rows(session: Session, chosen: Iterable[Method]) -> None:
    """Refuse too few rows for what will look at them, before anything is scored.

    Args:
        session: Model and data.
        chosen: The methods.

    Raises:
        InputError: It says how many rows would do.
    """
    config, scored = session.config, [method for method in chosen if isinstance(method, ScoreMethod)]
    read = any(method.reads != "weights" or not config.keep_weights for method in scored)
    if read and not config.keeps_everything:
        check_enough(calibration_examples(session)[0], session.loaded.encoder)


def check_enough(batches: Sequence[Batch], encoder: Encoder) -> None:
    """Refuse fewer tokens than a layer has inputs to be told apart.

    Raises:
        InputError: It says how many rows would do.
    """
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    rows = sum(len(batch["attention_mask"]) for batch in batches)
    columns = max(encoder.intermediate, encoder.heads * encoder.head_size)
    if tokens < columns:
        raise InputError(
            f"{rows:,} calibration rows have {tokens:,} tokens: too few for layers of {columns:,} neurons",
            f"add --calibration-rows {-(-columns * rows // max(tokens, 1))}, of data with as many rows",
        )


def split(batches: Sequence[Batch]) -> tuple[list[Batch], list[Batch]]:
    """Return the batches to fit to and those that judge; of every length some go to each."""
    judges = set(range(HELD_OUT // 2, len(batches), HELD_OUT)) or {len(batches) - 1}
    fit = [batch for number, batch in enumerate(batches) if number not in judges]
    return fit or list(batches), [batches[number] for number in sorted(judges)]
