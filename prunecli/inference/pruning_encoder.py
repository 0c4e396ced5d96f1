"""A PruningEncoder on texts: how well a document answers a query, and what of it to keep.

Query and document are tokenised as the pair that the model was trained on. A document that does not fit is read in
several windows, each with the query (cut to half a window); its score is the best of theirs, and every token belongs
to one window. Which tokens are the document's is what the tokenizer says (`sequence_ids`), not where separators stand.

Shape suffixes: T tokens, K prune and keep.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Self

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.source import find_model
from prunecli.errors import InputError
from prunecli.inference.batching import forward
from prunecli.inference.kinds.base import Rows
from prunecli.inference.runnable import find_device, longest_row
from prunecli.models.loading import load_model, load_tokenizer
from prunecli.models.modeling_pruning_encoder import KEEP, RERANKING

Pair = tuple[str, str]  # query, document
Span = tuple[int, int]  # first character, and one past the last
THRESHOLD = 0.5  # where neither the caller nor the checkpoint says one


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
                f"{folder} is no PruningEncoder of ours", f"prunecli convert {folder} OUT makes it one"
            )
        loaded = load_model(checkpoint)
        if loaded.new:
            raise InputError(f"{folder}: tensor {loaded.new[0]} is missing", "convert the source again")
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
        return THRESHOLD if stated is None else float(stated)

    def predict(self, pairs: Sequence[Pair], batch_size: int = 32) -> list[float]:
        """Return the score of each pair.

        Raises:
            InputError: The mode has no ranking.
        """
        if self.model.config.mode != RERANKING:
            raise InputError(
                "a PruningEncoder of mode pruning_only has no scores", "use predict_with_pruning"
            )
        return [found.score or 0.0 for found in self.predict_with_pruning(pairs, batch_size)]

    def predict_with_pruning(self, pairs: Sequence[Pair], batch_size: int = 32) -> list[Prediction]:
        """Return the score of each pair and the tokens of its document."""
        windows = [(number, *window) for number, pair in enumerate(pairs) for window in self._windows(*pair)]
        scores: list[list[float]] = [[] for _ in pairs]
        tokens: list[list[Token]] = [[] for _ in pairs]
        outputs = self._outputs([inputs for _, inputs, _ in windows], batch_size)
        for (number, _, places), (score, keep) in zip(windows, outputs, strict=True):
            scores[number] += [] if score is None else [score]
            document = pairs[number][1]
            tokens[number] += [_token(document, start, stop, keep[place]) for place, start, stop in places]
        return [
            Prediction(max(of_pair, default=None), tuple(found))
            for of_pair, found in zip(scores, tokens, strict=True)
        ]

    def predict_context(
        self,
        pairs: Sequence[Pair],
        chunks: Sequence[Sequence[Span]],
        token_threshold: float | None = None,
        chunk_threshold: float = 0.5,
        batch_size: int = 32,
    ) -> list[list[Chunk]]:
        """Say which chunks of each document to keep.

        Args:
            pairs: Queries and documents.
            chunks: Characters of each document's chunks, such as sentences.
            token_threshold: Probability over which a token counts as kept.
            chunk_threshold: Share of a chunk's tokens that have to be kept.
            batch_size: Windows a batch.
        """
        over = self.threshold if token_threshold is None else token_threshold
        found = self.predict_with_pruning(pairs, batch_size)
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
        batch_size: int = 32,
    ) -> list[PrunedText]:
        """Prune each text for the query at its place."""
        over = self.threshold if threshold is None else threshold
        found = self.predict_with_pruning(list(zip(queries, texts, strict=True)), batch_size)
        return [
            PrunedText(_kept(text, item.tokens, over), item.score, item.tokens if return_tokens else ())
            for text, item in zip(texts, found, strict=True)
        ]

    def _windows(
        self, query: str, document: str
    ) -> Iterator[tuple[dict[str, list[int]], list[tuple[int, ...]]]]:
        """Yield the inputs of each window, and place and characters of the document's tokens in it."""
        encoded = self.tokenizer(
            self._shortened(query), document, truncation="only_second", max_length=self.max_length,
            return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip
        names = self.tokenizer.model_input_names
        for row in range(len(encoded["input_ids"])):
            inputs = {name: encoded[name][row] for name in names if name in encoded}
            offsets = encoded["offset_mapping"][row]
            sides = encoded.sequence_ids(row)
            yield inputs, [(place, *offsets[place]) for place, side in enumerate(sides) if side == 1]

    def _shortened(self, query: str) -> str:
        """Cut a query so that at least half of a window is left for the document."""
        most = self.max_length // 2
        offsets = self.tokenizer(query, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        places = offsets["offset_mapping"]
        return query if len(places) <= most else query[: places[most - 1][1]]

    def _outputs(
        self, windows: Sequence[dict[str, list[int]]], batch_size: int
    ) -> Iterator[tuple[float | None, list[float]]]:
        """Yield the score of each window, and the probability that each of its tokens shall be kept."""
        columns = {name: [window[name] for window in windows] for name in (windows[0] if windows else ())}
        rows = Rows(columns or {"input_ids": []}, truncated=0)
        ranks = self.model.config.mode == RERANKING
        for output in forward(self.model, self.tokenizer, rows, batch_size):
            pruning_TK = output["pruning_logits"] if ranks else output["logits"]
            score = output["logits"][-1].item() if ranks else None
            yield score, pruning_TK.softmax(-1)[:, KEEP].tolist()


def _token(document: str, start: int, stop: int, keep: float) -> Token:
    """Return a token without the white space that some tokenizers count to it."""
    piece = document[start:stop]
    return Token(start + len(piece) - len(piece.lstrip()), stop, keep)


def _chunk(tokens: Sequence[Token], span: Span, token_threshold: float, chunk_threshold: float) -> Chunk:
    """Judge a chunk by the tokens that share a character with it; each counts once."""
    start, stop = span
    keep = [token.keep for token in tokens if token.start < stop and token.stop > start]
    if not keep:
        return Chunk(start, stop, 0.0, False)
    share = sum(value > token_threshold for value in keep) / len(keep)
    return Chunk(start, stop, sum(keep) / len(keep), share >= chunk_threshold)


def _kept(text: str, tokens: Sequence[Token], threshold: float) -> str:
    """Join what is kept; the characters between two tokens, such as white space, go with the first of them."""
    stops = [token.start for token in tokens[1:]] + [len(text)]
    pieces = [
        text[token.start : stop] for token, stop in zip(tokens, stops, strict=True) if token.keep > threshold
    ]
    return "".join(pieces).strip()
