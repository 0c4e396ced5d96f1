"""A PruningEncoder on texts: how well a document answers a query, and what of it to keep.

The Python side of what `predict` does with such a folder, token by token. A document that does not fit is read in
overlapping windows, each with the query; its score is the best of theirs, and every token is judged once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Self, cast

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.source import find_model
from prunecli.config.predict import OVERLAP
from prunecli.errors import InputError
from prunecli.inference.batching import Batcher
from prunecli.inference.document_reader import (
    DocumentEncoder,
    best_scores,
    keep_and_rank,
    token_probabilities,
)
from prunecli.inference.documents import Document, Question
from prunecli.inference.kinds.base import Outputs, Row
from prunecli.inference.runnable import find_device, longest_row
from prunecli.inference.selection import text_of
from prunecli.inference.sentences import Span
from prunecli.inference.thresholds import USUAL
from prunecli.models.loading import load_model, load_tokenizer
from prunecli.models.modeling_pruning_encoder import RERANKING

Pair = tuple[str, str]  # query, document
BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a document: its characters, and the probability that it shall be kept."""

    start: int
    stop: int
    keep: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document that is kept or not as a whole.

    Attributes:
        start: Its first character.
        stop: One past its last.
        keep: Mean probability of its tokens; 0 where it has none.
        kept: Whether enough of its tokens shall be kept.
    """

    start: int
    stop: int
    keep: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one pair.

    Attributes:
        score: The raw score, without a sigmoid; None where the mode has no ranking. Of several labels, the last one's.
        tokens: The document's tokens, in order.
    """

    score: float | None
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class PrunedText:
    """A document without what the query does not need.

    Attributes:
        text: What is kept, with the document's own white space.
        score: As in `Prediction`.
        tokens: The document's tokens where they were asked for.
    """

    text: str
    score: float | None
    tokens: tuple[Token, ...] = ()


class PruningEncoder:
    """A folder of ours on its device, in evaluation mode.

    Args:
        model: One of the PruningEncoder classes.
        tokenizer: Its tokenizer, a fast one.
        max_length: Tokens of a window.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length

    @classmethod
    def from_pretrained(
        cls, folder: str | PathLike[str], max_length: int | None = None, device: str = "auto"
    ) -> Self:
        """Load a folder or a hub id with prunecli's own classes; no code of the folder runs.

        Raises:
            InputError: It is none that `convert` or `save_pretrained` wrote.
        """
        checkpoint = read_checkpoint(find_model(str(folder), ""))
        if checkpoint.config.get("model_type") != "pruning_encoder":
            raise InputError(
                f"{folder} is not a PruningEncoder of this format",
                f"prunecli convert {folder} OUT makes it one",
            )
        loaded = load_model(checkpoint)
        if loaded.new:
            raise InputError(
                f"{folder}: tensor {loaded.new[0]} is missing or was never trained",
                "train the head with train-masks",
            )
        tokenizer = load_tokenizer(checkpoint)
        length = longest_row(checkpoint, loaded.model, tokenizer, max_length)
        return cls(loaded.model.to(find_device(device)), tokenizer, length)  # type: ignore[arg-type]

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Save weights, config, modeling file and tokenizer."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def forward(self, **inputs: Tensor) -> Any:
        """Return what the model's forward pass gives."""
        return self.model(**inputs)

    __call__ = forward

    @property
    def threshold(self) -> float:
        """Return the probability over which a token is kept unless the caller says another."""
        stated = self.model.config.pruning_config["default_threshold"]
        return USUAL if stated is None else float(stated)

    def predict(self, pairs: Sequence[Pair], batch_tokens: int = BATCH_TOKENS) -> list[float]:
        """Return the score of each pair.

        Raises:
            InputError: The mode has no ranking.
        """
        if self.model.config.mode != RERANKING:
            raise InputError(
                "a PruningEncoder of mode pruning_only has no scores", "use predict_with_pruning"
            )
        return [cast(float, found.score) for found in self.predict_with_pruning(pairs, batch_tokens)]

    def predict_with_pruning(
        self, pairs: Sequence[Pair], batch_tokens: int = BATCH_TOKENS
    ) -> list[Prediction]:
        """Return the score of each pair and the tokens of its document.

        Raises:
            InputError: A row does not fit into memory.
        """
        questions = [Question(query, (Document(text),), several=False) for query, text in pairs]
        rows = DocumentEncoder(self.tokenizer, self.max_length, OVERLAP).rows(questions)
        batcher = Batcher(self.model, self.model.device, keep_and_rank, self.tokenizer, batch_tokens)
        outputs = batcher.forward([row for of_one in rows for row in of_one])
        if None in outputs:
            raise InputError("a window does not fit into memory", "give a lower max_length")
        said = iter(output for output in outputs if output is not None)
        return [_prediction(of_one, [next(said) for _ in of_one]) for of_one in rows]

    def predict_context(
        self,
        pairs: Sequence[Pair],
        chunks: Sequence[Sequence[Span]],
        token_threshold: float | None = None,
        chunk_threshold: float = 0.5,
        batch_tokens: int = BATCH_TOKENS,
    ) -> list[list[Chunk]]:
        """Say which chunks of each document to keep.

        Args:
            pairs: Queries and documents.
            chunks: Characters of each document's chunks, such as sentences.
            token_threshold: Probability over which a token counts as kept.
            chunk_threshold: Share of a chunk's tokens that have to be kept.
            batch_tokens: Tokens a batch, with padding.
        """
        over = self.threshold if token_threshold is None else token_threshold
        found = self.predict_with_pruning(pairs, batch_tokens)
        return [
            [_chunk(prediction.tokens, span, over, chunk_threshold) for span in spans]
            for prediction, spans in zip(found, chunks, strict=True)
        ]

    def prune(self, query: str, document: str, threshold: float | None = None) -> str:
        """Return a document without the tokens that a query does not need."""
        return self.prune_texts([query], [document], threshold)[0].text

    def prune_texts(
        self,
        queries: Sequence[str],
        texts: Sequence[str],
        threshold: float | None = None,
        return_tokens: bool = False,
        batch_tokens: int = BATCH_TOKENS,
    ) -> list[PrunedText]:
        """Prune each text for the query at its place."""
        over = self.threshold if threshold is None else threshold
        found = self.predict_with_pruning(list(zip(queries, texts, strict=True)), batch_tokens)
        return [
            PrunedText(_kept(text, item.tokens, over), item.score, item.tokens if return_tokens else ())
            for text, item in zip(texts, found, strict=True)
        ]


def _prediction(rows: Sequence[Row], outputs: Sequence[Outputs]) -> Prediction:
    (scores,) = best_scores(1, rows, outputs)
    ((text, keep),) = token_probabilities(1, rows, outputs)
    tokens = (Token(*span, one) for span, one in zip(text.spans, keep.tolist(), strict=True))
    return Prediction(scores.get("score_raw"), tuple(tokens))


def _chunk(tokens: Sequence[Token], span: Span, token_threshold: float, chunk_threshold: float) -> Chunk:
    """Judge a chunk by the tokens that share a character with it; each counts once."""
    start, stop = span
    keep = [token.keep for token in tokens if token.start < stop and token.stop > start]
    if not keep:
        return Chunk(start, stop, 0.0, False)
    share = sum(value > token_threshold for value in keep) / len(keep)
    return Chunk(start, stop, sum(keep) / len(keep), share >= chunk_threshold)


def _kept(text: str, tokens: Sequence[Token], threshold: float) -> str:
    return text_of(text, [token.start for token in tokens], [token.keep > threshold for token in tokens])
