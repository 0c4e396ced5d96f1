"""One label, several labels or a number for a text or a pair.

    single label   label: its name            score: its softmax probability
    multi-label    label: names over 0.5      score: each label's sigmoid probability, by name
    regression     (no label)                 score: the value; by name where there are several

Shape suffixes: R rows, L labels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from prunecli.inference.kinds.base import Kind, Outputs, Rows
from prunecli.inference.records import Record
from prunecli.inference.text_fields import Item

THRESHOLD = 0.5  # probability over which a label of several holds


def _encode(items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Rows:
    """Tokenise as training does, and count the records that did not fit."""
    columns = [list(column) for column in zip(*(item.texts for item in items), strict=True)]
    encoded = tokenizer(*columns, truncation=True, max_length=max_length)
    full = [row for row, ids in enumerate(encoded["input_ids"]) if len(ids) == max_length]
    truncated = 0
    if full:
        whole = tokenizer(
            *([column[row] for row in full] for column in columns), truncation=False, verbose=False
        )
        truncated = sum(len(ids) > max_length for ids in whole["input_ids"])
    return Rows(dict(encoded), truncated)


def _decode(rows: Rows, outputs: Sequence[Outputs], config: PreTrainedConfig) -> list[Record]:
    logits_RL = torch.stack([output["logits"] for output in outputs])
    known = {int(number): name for number, name in (config.id2label or {}).items()}
    names = [known.get(number, f"LABEL_{number}") for number in range(logits_RL.shape[1])]
    if config.problem_type == "multi_label_classification":
        return _several_labels(logits_RL, names)
    # One output without a problem_type is what transformers trains as a regression.
    if config.problem_type == "regression" or (config.problem_type is None and len(names) == 1):
        return _values(logits_RL, names)
    return _one_label(logits_RL, names)


def _one_label(logits_RL: Tensor, names: list[str]) -> list[Record]:
    scores, labels = logits_RL.softmax(-1).max(-1)
    return [
        {"label": names[label], "score": score}
        for label, score in zip(labels.tolist(), scores.tolist(), strict=True)
    ]


def _several_labels(logits_RL: Tensor, names: list[str]) -> list[Record]:
    by_name = [dict(zip(names, row, strict=True)) for row in logits_RL.sigmoid().tolist()]
    return [{"label": [name for name in names if row[name] > THRESHOLD], "score": row} for row in by_name]


def _values(logits_RL: Tensor, names: list[str]) -> list[Record]:
    rows = logits_RL.tolist()
    return [{"score": row[0] if len(names) == 1 else dict(zip(names, row, strict=True))} for row in rows]


KIND = Kind("ForSequenceClassification", ("label", "score"), _encode, _decode)
