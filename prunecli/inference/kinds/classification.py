"""One label, several labels or a number for a text or a pair.

    single label   label: its name            score: its softmax probability
    multi-label    label: names over 0.5      score: each label's sigmoid probability, by name
    regression     (no label)                 score: the value; by name where there are several

`score_raw` is the logit that the score was made of; --activation says otherwise how. Shape suffixes: L labels.
"""

from collections.abc import Sequence

from torch import Tensor

from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.sentence_files import cross_encoder_settings
from prunecli.inference.activation import activated, check_activation
from prunecli.inference.formats.base import Record
from prunecli.inference.kinds.base import Kind, Outputs, Row, Setting
from prunecli.inference.text_fields import known_fields, text_in
from prunecli.inference.truncated import truncated_rows

HEAD = "ForSequenceClassification"
USUAL: dict[str | None, str] = {
    "regression": "none",
    "multi_label_classification": "sigmoid",
}  # by the problem; else softmax
THRESHOLD = 0.5  # probability over which a label of several holds


class Classification(Kind):
    """Labels of texts and pairs."""

    known = known_fields()
    writes = ("label", "score", "score_raw")
    options = ("activation",)
    reads_logits_only = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        config = setting.model_config
        check_activation(setting.options.activation, len(setting.labels))
        self.names = [setting.labels.get(number, f"LABEL_{number}") for number in range(len(setting.labels))]
        # One output without a problem_type is what transformers trains as a regression.
        one = config.problem_type is None and len(self.names) == 1
        self.problem = "regression" if one else config.problem_type

    @classmethod
    def is_meant(cls, checkpoint: Checkpoint) -> bool:
        """Say whether it is a classifier of texts and nothing more."""
        more = checkpoint.config.get("model_type") == "pruning_encoder" or is_cross_encoder(checkpoint)
        return cls.can(checkpoint) and not more

    @classmethod
    def can(cls, checkpoint: Checkpoint) -> bool:
        """Say whether it has a classifier of texts."""
        return (checkpoint.architecture or "").endswith(HEAD)

    def parse(self, record: Record, fields: tuple[str, ...]) -> tuple[str, ...]:
        """Take the text or the two texts out of a record."""
        return tuple(text_in(record, field) for field in fields)

    def encode(self, inputs: Sequence[tuple[str, ...]]) -> list[list[Row]]:
        """Return a row each, cut to what fits."""
        return [[row] for row in truncated_rows(self.setting, inputs)]

    def decode(self, given: tuple[str, ...], rows: Sequence[Row], outputs: Sequence[Outputs]) -> Record:
        """Say what the logits mean."""
        logits_L = outputs[0]["logits"]
        scores_L = activated(logits_L, self.setting.options.activation, USUAL.get(self.problem, "softmax"))
        if self.problem == "regression":
            raw = {} if scores_L is logits_L else {"score_raw": self._named(logits_L)}
            return {"score": self._named(scores_L), **raw}
        if self.problem == "multi_label_classification":
            holds_L = (logits_L.sigmoid() > THRESHOLD).tolist()
            label = [name for name, holds in zip(self.names, holds_L, strict=True) if holds]
            return {"label": label, "score": self._by_name(scores_L), "score_raw": self._by_name(logits_L)}
        best = int(logits_L.argmax())
        return {
            "label": self.names[best],
            "score": scores_L[best].item(),
            "score_raw": logits_L[best].item(),
        }

    def _named(self, values_L: Tensor) -> float | dict[str, float]:
        return self._by_name(values_L) if len(self.names) > 1 else values_L.item()

    def _by_name(self, values_L: Tensor) -> dict[str, float]:
        return dict(zip(self.names, values_L.tolist(), strict=True))


def is_cross_encoder(checkpoint: Checkpoint) -> bool:
    """Say whether sentence-transformers saved a classifier as a CrossEncoder of one label, which ranks."""
    labels = checkpoint.config.get("id2label") or {}
    return cross_encoder_settings(checkpoint.config) is not None and len(labels) == 1


KIND = Classification
