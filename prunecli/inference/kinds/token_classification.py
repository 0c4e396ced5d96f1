"""A label for each word of a text: entities where labels are tags such as B-PER, else every word with its label.

    entities    start, end, label, score: `text[start:end]` is the entity
    words       the same for each word, where labels are no tags

The text may also be a list of words; start and end then count words. As in training, a word's label is what is said of
its first piece. An entity's score is the mean probability of its words' tags. Shape suffixes: N tokens, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor

from prunecli.checkpoints.folder import Checkpoint
from prunecli.errors import InputError
from prunecli.inference.formats.base import Record
from prunecli.inference.kinds.base import Kind, Outputs, Row, Setting
from prunecli.inference.sentences import Span
from prunecli.inference.text_fields import as_text, known_single_fields, value_in
from prunecli.inference.text_reader import TextReader, text_logits
from prunecli.inference.windows import Tokens
from prunecli.tasks import entities


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and where its words are if it came in words.

    Attributes:
        text: The text; words with a space between them.
        words: Characters of each word; None where the text came whole.
    """

    text: str
    words: tuple[Span, ...] | None = None


class TokenClassification(Kind):
    """Entities and other labels of words."""

    known = (("tokens",), ("words",), *known_single_fields())
    writes = ("entities", "words")
    options = ("overlap",)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.reader = TextReader(setting)
        self.names = [setting.labels[number] for number in sorted(setting.labels)]
        self.tagged = entities.are_tags(self.names)

    @classmethod
    def is_meant(cls, checkpoint: Checkpoint) -> bool:
        """Say whether it is a classifier of tokens and nothing more."""
        named = (checkpoint.architecture or "").endswith("ForTokenClassification")
        return named and checkpoint.config.get("model_type") != "pruning_encoder"

    can = is_meant

    def parse(self, record: Record, fields: tuple[str, ...]) -> Text:
        """Take a text or a list of words out of a record."""
        value = value_in(record, fields[0])
        if not isinstance(value, list):
            return Text(as_text(value, fields[0]))
        words = [as_text(word, fields[0]) for word in value]
        if not all(word.strip() for word in words):
            raise InputError(f"field {fields[0]!r} holds an empty word", "remove it")
        starts = accumulate((len(word) + 1 for word in words), initial=0)
        spans = ((start, start + len(word)) for start, word in zip(starts, words, strict=False))
        return Text(" ".join(words), tuple(spans))

    def encode(self, inputs: Sequence[Text]) -> list[list[Row]]:
        """Return the rows of each text."""
        return self.reader.rows([given.text for given in inputs])

    def decode(self, given: Text, rows: Sequence[Row], outputs: Sequence[Outputs]) -> Record:
        """Return the entities, or the words."""
        tokens, logits_NL = text_logits(rows, outputs)
        firsts, spans = (
            words_in(given.text, tokens) if given.words is None else _first_pieces(given.words, tokens)
        )
        labels, scores = self._best(logits_NL[firsts])
        places = spans if given.words is None else [(number, number + 1) for number in range(len(spans))]
        if not self.tagged:
            found = zip(places, labels, scores, strict=True)
            return {"words": [_entry(*span, label, score) for span, label, score in found]}
        return {
            "entities": [
                _entry(places[first][0], places[last - 1][1], kind, sum(scores[first:last]) / (last - first))
                for kind, first, last in sorted(entities.spans(labels), key=lambda span: span[1:])
            ]
        }

    def _best(self, logits_NL: Tensor) -> tuple[list[str], list[float]]:
        if not len(logits_NL):
            return [], []
        scores, ids = logits_NL.softmax(-1).max(-1)
        return [self.names[number] for number in ids.tolist()], scores.tolist()


def _entry(start: int, stop: int, label: str, score: float) -> Record:
    return {"start": start, "end": stop, "label": label, "score": score}


def _first_pieces(words: Sequence[Span], tokens: Tokens) -> tuple[list[int], Sequence[Span]]:
    """Return the first token of each word; one that has none (it is unknown to the tokenizer) gets the next.

    Raises:
        InputError: No word has a token.
    """
    if words and not tokens.ids:
        raise InputError("the tokenizer knows no character of the words", "remove the record")
    starts = [stop - 1 for _, stop in tokens.spans]
    firsts, place = [], 0
    for start, _ in words:
        while place < len(starts) - 1 and starts[place] < start:
            place += 1
        firsts.append(place)
    return firsts, words


def words_in(text: str, tokens: Tokens) -> tuple[list[int], list[Span]]:
    """Return the first token and the characters of each word.

    Words are the tokenizer's, parted at punctuation: a tokenizer that knows only white space has `Paris.` as one, but
    data sets with a label a word have the full stop apart. Signs of scripts without spaces are words of their own.
    """
    firsts: list[int] = []
    spans: list[Span] = []
    last: int | None = None
    for number, ((start, stop), word) in enumerate(zip(tokens.spans, tokens.words, strict=True)):
        if stop <= start:
            continue
        touches = bool(spans) and word == last and start == spans[-1][1]
        # Of a character that takes several bytes, byte-level vocabularies may have a token a byte.
        shares = bool(spans) and start < spans[-1][1]
        if shares or (touches and not _parts(text[start - 1], text[start])):
            spans[-1] = (spans[-1][0], stop)
        else:
            firsts.append(number)
            spans.append((start, stop))
        last = word
    return firsts, spans


def _parts(before: str, after: str) -> bool:
    """Say whether a word ends between two characters."""
    return not (before.isalnum() and after.isalnum()) or max(before, after) >= "\u2e80"


KIND = TokenClassification
