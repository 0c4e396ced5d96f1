"""Labels at some positions of a text, by a masked-sequence model.

    positions    start, end, label, score, in the order in which they were asked for

Positions are, by the record's fields, `mask_indices` (tokens of the row, special ones counted), `characters` or, as
training data call them, `spans` (each a character or `[start, end]`), else every mask token of the text.
Shape suffixes: N tokens, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from prunecli.checkpoints.folder import Checkpoint
from prunecli.errors import InputError
from prunecli.inference.formats.base import Record
from prunecli.inference.kinds.base import Kind, Outputs, Row, Setting
from prunecli.inference.kinds.classification import THRESHOLD
from prunecli.inference.text_fields import known_single_fields, text_in
from prunecli.inference.text_reader import TextReader, text_logits
from prunecli.inference.windows import Tokens
from prunecli.models.modeling_losses import MULTILABEL

INDICES, CHARACTERS, SPANS = "mask_indices", "characters", "spans"


@dataclass(frozen=True, slots=True)
class Asked:
    """A text and its positions.

    Attributes:
        text: The text.
        tokens: Tokens of the row; None where characters say it.
        characters: A character of each position.
    """

    text: str
    tokens: tuple[int, ...] | None
    characters: tuple[int, ...]


class MaskedSeq(Kind):
    """Labels of positions."""

    known = known_single_fields()
    writes = ("positions",)
    options = ("mask_token", "overlap")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.reader = TextReader(setting)
        self.mask_token = setting.options.mask_token or setting.tokenizer.mask_token
        self.names = [setting.labels[number] for number in sorted(setting.labels)]

    @classmethod
    def is_meant(cls, checkpoint: Checkpoint) -> bool:
        """Say whether the folder is a masked-sequence model."""
        return checkpoint.config.get("model_type") == "masked_seq"

    can = is_meant

    def parse(self, record: Record, fields: tuple[str, ...]) -> Asked:
        """Take text and positions out of a record."""
        text = text_in(record, fields[0])
        if record.get(INDICES) is not None:
            return Asked(text, tuple(_number(value, INDICES) for value in _list(record, INDICES)), ())
        field = next((name for name in (CHARACTERS, SPANS) if record.get(name) is not None), None)
        if field is not None:
            values = _list(record, field)
            starts = [value[0] if isinstance(value, list) and len(value) == 2 else value for value in values]
            return Asked(text, None, tuple(_number(start, field) for start in starts))
        found = _occurrences(text, self.mask_token) if self.mask_token else ()
        if not found:
            mark = self.mask_token or "mask token"
            raise InputError(
                f"the text has no {mark}, and no field {INDICES!r} or {CHARACTERS!r} says a position",
                "mark positions, or say with --mask-token how they are marked",
            )
        return Asked(text, None, found)

    def encode(self, inputs: Sequence[Asked]) -> list[list[Row]]:
        """Return the rows of each text."""
        return self.reader.rows([given.text for given in inputs])

    def decode(self, given: Asked, rows: Sequence[Row], outputs: Sequence[Outputs]) -> Record:
        """Return what is said of each position."""
        tokens, logits_NL = text_logits(rows, outputs)
        places = self._places(given, tokens)
        return {"positions": [{**_span(tokens, place), **self._labels(logits_NL[place])} for place in places]}

    def _places(self, given: Asked, tokens: Tokens) -> list[int]:
        if given.tokens is None:
            return [_token_at(tokens, character) for character in given.characters]
        before = len(self.reader.frame.head["input_ids"])
        for index in given.tokens:
            if not before <= index < before + len(tokens.ids):
                raise InputError(f"{INDICES} {index} is no token of the text, which are {before} and on")
        return [index - before for index in given.tokens]

    def _labels(self, logits_L: Tensor) -> Record:
        if self.setting.model_config.task == MULTILABEL:
            scores = dict(zip(self.names, logits_L.sigmoid().tolist(), strict=True))
            return {"label": [name for name in self.names if scores[name] > THRESHOLD], "score": scores}
        best = int(logits_L.argmax())
        return {"label": self.names[best], "score": logits_L.softmax(-1)[best].item()}


def _list(record: Record, field: str) -> list[Any]:
    if not isinstance(record[field], list):
        raise InputError(f"field {field!r} holds no list", "write one entry a position")
    found: list[Any] = record[field]
    return found


def _number(value: Any, field: str) -> int:
    if type(value) is not int or value < 0:
        raise InputError(f"field {field!r} holds {value!r}, not a place in the text", "count from 0")
    return value


def _occurrences(text: str, mark: str) -> tuple[int, ...]:
    found, place = [], text.find(mark)
    while place >= 0:
        found.append(place)
        place = text.find(mark, place + len(mark))
    return tuple(found)


def _token_at(tokens: Tokens, character: int) -> int:
    """Return the token that has a character, or the first one behind it.

    Raises:
        InputError: The text ends before it.
    """
    for number, (_, stop) in enumerate(tokens.spans):
        if stop > character:
            return number
    raise InputError(f"character {character} lies behind the last token", "count characters from 0")


def _span(tokens: Tokens, place: int) -> Record:
    start, stop = tokens.spans[place]
    return {"start": start, "end": stop}


KIND = MaskedSeq
