"""What of a document a query needs: sentences to keep, by a PruningEncoder; its score where it has one.

    score        sigmoid of the best window's raw score (of several labels, the last one's probability)
    score_raw    the raw score
    sentences    start, end, probability, kept: `document[start:end]` is the sentence
    pruned       the document without the sentences that are not kept
    tokens       tokens of the document; kept_tokens: of what is kept

With several thresholds, `kept`, `pruned` and `kept_tokens` hold a value for each. With a list of documents, all that
stands in `results` instead, best score first, with `index` (place in the list) and `id`.
"""

from collections.abc import Sequence
from typing import Any

from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.kinds.pruning_encoder import RERANKING
from prunecli.errors import InputError
from prunecli.inference.document_reader import DocumentReader, Reading, keep_and_rank, lower_median
from prunecli.inference.documents import KNOWN, Document, Question, best_first, question_in
from prunecli.inference.formats.base import Record
from prunecli.inference.kinds.base import Kind, Outputs, Row, Setting
from prunecli.inference.open_provence import OpenProvenceReader
from prunecli.inference.selection import Limits, selected, text_of
from prunecli.inference.thresholds import thresholds_for


class ContextPruning(Kind):
    """Keeps the sentences that a query needs."""

    known = KNOWN
    writes = ("score", "score_raw", "sentences", "pruned", "tokens", "kept_tokens", "results")
    options = (
        "overlap", "threshold", "top_sentences", "budget_tokens", "budget_characters", "min_sentences", "split",
        "language", "calibrate", "compat",
    )  # fmt: skip
    outputs = staticmethod(keep_and_rank)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        options = setting.options
        self.ranks = setting.model_config.mode == RERANKING
        self.limits = Limits(
            options.top_sentences, options.budget_tokens, options.budget_characters, options.min_sentences
        )
        self.thresholds = thresholds_for(options, setting.model_config.pruning_config["default_threshold"])
        if options.compat == "open-provence":
            self.reader: DocumentReader | OpenProvenceReader = OpenProvenceReader(setting)
        else:
            self.reader = DocumentReader(setting, *([lower_median] if options.compat else []))

    @classmethod
    def is_meant(cls, checkpoint: Checkpoint) -> bool:
        """Say whether the folder is a PruningEncoder."""
        return checkpoint.config.get("model_type") == "pruning_encoder"

    can = is_meant

    def parse(self, record: Record, fields: tuple[str, ...]) -> Question:
        """Take query and documents out of a record."""
        options = self.setting.options
        question = question_in(record, fields, options.split == "presplit")
        if options.compat == "open-provence" and any(document.title for document in question.documents):
            raise InputError("--compat open-provence takes no titles", "remove them, or leave --compat out")
        return question

    def encode(self, inputs: Sequence[Question]) -> list[list[Row]]:
        """Return the rows of each question; long queries are cut, and counted."""
        return self.reader.rows(inputs)

    def decode(self, given: Question, rows: Sequence[Row], outputs: Sequence[Outputs]) -> Record:
        """Judge all sentences of a question together: a budget is one for all its documents."""
        if not given.documents:
            return {"results": []}
        found = self.reader.read(given, rows, outputs)
        every = [sentence for reading in found for sentence in reading.sentences]
        kept = {over: iter(selected(every, over, self.limits)) for over in self.thresholds}
        results = [
            self._result(
                document,
                reading,
                {over: [next(one) for _ in reading.sentences] for over, one in kept.items()},
            )
            for document, reading in zip(given.documents, found, strict=True)
        ]
        return {"results": best_first(given.documents, results)} if given.several else results[0]

    def _result(self, document: Document, reading: Reading, kept: dict[float, list[bool]]) -> Record:
        sentences = reading.sentences
        starts = [sentence.start for sentence in sentences]
        texts = {over: text_of(document.text, starts, stays) for over, stays in kept.items()}
        tokens = {
            over: sum(one.tokens for one, is_kept in zip(sentences, stays, strict=True) if is_kept)
            for over, stays in kept.items()
        }
        found: Record = {
            **reading.scores,
            "pruned": _each(texts),
            "sentences": [
                {
                    "start": sentence.start,
                    "end": sentence.stop,
                    "probability": sentence.probability,
                    "kept": _each({over: stays[number] for over, stays in kept.items()}),
                }
                for number, sentence in enumerate(sentences)
            ],
            "tokens": reading.tokens,
            "kept_tokens": _each(tokens),
        }
        nothing = not any(map(any, kept.values()))
        if nothing and reading.scores and self.setting.options.compat == "open-provence":
            found["score"] = 0.0
        return found


def _each(by_threshold: dict[float, Any]) -> Any:
    """Return the value of the only threshold, or the values by threshold."""
    if len(by_threshold) == 1:
        return next(iter(by_threshold.values()))
    return {repr(over).removesuffix(".0"): value for over, value in by_threshold.items()}


KIND = ContextPruning
