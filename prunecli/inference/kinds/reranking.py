"""How well documents answer a query, by a classifier of pairs.

    score        sigmoid of the only label's logit, or softmax probability of the last of several
    score_raw    the logit

Of a document in several windows, the best counts. With a list of documents both stand in `results`, best first, with
`index` (place in the list) and `id`.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from prunecli.checkpoints.folder import Checkpoint
from prunecli.inference.activation import check_activation
from prunecli.inference.document_reader import SHOWN, DocumentReader, best_scores, relevance
from prunecli.inference.documents import KNOWN, Question, best_first, question_in
from prunecli.inference.formats.base import Record
from prunecli.inference.kinds.base import Kind, Outputs, Row, Setting
from prunecli.inference.kinds.classification import HEAD, is_cross_encoder


class Reranking(Kind):
    """Scores of documents, as a cross-encoder gives them."""

    known = KNOWN
    writes = ("score", "score_raw", "results")
    options = ("activation", "overlap")
    reads_logits_only = True
    ranks = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        check_activation(setting.options.activation, len(setting.labels))
        self.reader = DocumentReader(setting)

    @classmethod
    def is_meant(cls, checkpoint: Checkpoint) -> bool:
        """Say whether it was saved as a reranker."""
        return cls.can(checkpoint) and is_cross_encoder(checkpoint)

    @classmethod
    def can(cls, checkpoint: Checkpoint) -> bool:
        """Say whether it has a classifier of texts."""
        return (checkpoint.architecture or "").endswith(HEAD)

    def parse(self, record: Record, fields: tuple[str, ...]) -> Question:
        """Take query and documents out of a record."""
        return question_in(record, fields, presplit=False)

    def encode(self, inputs: Sequence[Question]) -> list[list[Row]]:
        """Return the rows of each question; long queries are cut, and counted."""
        return self.reader.rows(inputs)

    def outputs(self, found: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return score and logit of the last label, [rows]."""
        return relevance(found["logits"], self.setting.options.activation)

    def decode(self, given: Question, rows: Sequence[Row], outputs: Sequence[Outputs]) -> Record:
        """Return the scores of the best windows."""
        results = best_scores(len(given.documents), rows, outputs)
        ranked = best_first(given.documents, results) if given.several else results
        for result in ranked:
            result["score"] = result.pop(SHOWN, result["score"])
        return {"results": ranked} if given.several else ranked[0]


KIND = Reranking
