"""Words that were masked, from their surroundings: texts without labels.

As in BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805): of 15% of a text's tokens, at least one, 80%
become the mask token, 10% a random token, 10% stay. Training draws anew for every batch, from a seed that is the
batch's own, so that a resumed run draws the same; validation is masked once, whatever the batch size.

Shape suffixes: B batch, T tokens, V vocabulary.
"""

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from prunecli.errors import InputError
from prunecli.tasks.columns import TEXT, values_of
from prunecli.tasks.features import Collate, Columns, Features, encoded
from prunecli.tasks.kinds.base import Kind, Reader
from prunecli.tasks.labels import IGNORED
from prunecli.tasks.metrics import accuracy

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import EvalPrediction, PreTrainedTokenizerBase

    from prunecli.tasks.base import Task
    from prunecli.tasks.data import TaskData

MASKED, REPLACED, RANDOM = 0.15, 0.8, 0.1
SEED = 0

Ids = list[int]


def _reader(task: "Task") -> Reader:
    def read(*texts: str) -> bool | None:
        """A text is its own target; one without a word is none."""
        return True if all(text.strip() for text in texts) else None

    return read


def mask(ids: Ids, tokenizer: "PreTrainedTokenizerBase", random: np.random.Generator) -> tuple[Ids, Ids]:
    """Return a row of token ids with some masked, and what stood there (-100 elsewhere)."""
    special = tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True)
    places = [place for place, is_special in enumerate(special) if not is_special]
    places = places or list(range(len(ids)))  # a batch without any label would have no loss
    count = max(round(MASKED * len(places)), 1)
    masked, labels = list(ids), [IGNORED] * len(ids)
    for place in random.permutation(places)[:count].astype(int):
        labels[place] = ids[place]
        chance = random.random()
        if chance < REPLACED:
            masked[place] = tokenizer.mask_token_id
        elif chance < REPLACED + RANDOM:
            masked[place] = int(random.integers(len(tokenizer)))
    return masked, labels


def _collate(tokenizer: "PreTrainedTokenizerBase") -> Collate:
    from transformers import DataCollatorForTokenClassification

    pad = DataCollatorForTokenClassification(tokenizer)

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        if "labels" not in rows[0]:
            seed = zlib.crc32(np.concatenate([row["input_ids"] for row in rows]).tobytes())
            random = np.random.default_rng(seed)
            drawn = [mask(row["input_ids"], tokenizer, random) for row in rows]
            rows = [
                {**row, "input_ids": ids, "labels": labels}
                for row, (ids, labels) in zip(rows, drawn, strict=True)
            ]
        batch: dict[str, Any] = pad(rows)
        return batch

    return collate


def _features(data: "TaskData", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Features:
    if tokenizer.mask_token_id is None:
        raise InputError(
            f"{type(tokenizer).__name__} has no mask token, so masked-lm cannot use it",
            "take an encoder that was pretrained with masked words",
        )

    def encode(texts: list[list[Any]], targets: list[Any]) -> Columns:
        return dict(tokenizer(*texts, truncation=True, max_length=max_length))

    train, validation = encoded(data, encode)
    random = np.random.default_rng(SEED)
    masked = [mask(ids, tokenizer, random) for ids in values_of(validation, "input_ids")]
    validation = validation.remove_columns("input_ids")
    validation = validation.add_column("input_ids", [ids for ids, _ in masked])
    validation = validation.add_column("labels", [labels for _, labels in masked])
    return Features(train, validation, _score, _collate(tokenizer), _reduce)


def _reduce(logits_BTV: "Tensor", labels_BT: "Tensor") -> tuple["Tensor", "Tensor"]:
    """Keep the likeliest token and what the true one costs, in nats: all logits would not fit into memory."""
    from torch.nn import functional

    cost_BT = functional.cross_entropy(
        logits_BTV.float().transpose(1, 2), labels_BT, ignore_index=IGNORED, reduction="none"
    )
    return logits_BTV.argmax(-1), cost_BT


def _score(output: "EvalPrediction") -> dict[str, float]:
    found, cost = (np.asarray(kept) for kept in output.predictions)
    labels = np.asarray(output.label_ids)
    real = labels != IGNORED
    mean = np.mean(cost[real], dtype=np.float64)
    return {"accuracy": accuracy(found[real], labels[real]), "perplexity": float(np.exp(mean))}


KIND = Kind(
    name="masked-lm",
    head="ForMaskedLM",
    shapes=((TEXT,),),
    label_columns=(),
    label_shapes=(),
    metrics=lambda labels: ("accuracy", "perplexity"),
    reader=_reader,
    config=lambda task: {},
    features=_features,
)
