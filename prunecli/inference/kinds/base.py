"""What a kind of head is: two functions, one before the model and one after it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from prunecli.inference.records import Record
from prunecli.inference.text_fields import Item

Outputs = Mapping[str, Tensor]  # of one row, by name: logits [labels]


@dataclass(frozen=True, slots=True)
class Rows:
    """Token ids of some records.

    Attributes:
        inputs: What the model takes, by name: a list a row, of its own length.
        truncated: Records that lost tokens.
    """

    inputs: Mapping[str, list[list[int]]]
    truncated: int


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of head is used.

    Attributes:
        head: The head class without its stem.
        writes: Fields that `decode` may return; fields of the input that are called so are renamed.
        encode: (items, tokenizer, max_length) -> rows.
        decode: (rows, outputs of each row, the model's config) -> what to write, one dict an item.
    """

    head: str
    writes: tuple[str, ...]
    encode: Callable[[Sequence[Item], PreTrainedTokenizerBase, int], Rows]
    decode: Callable[[Rows, Sequence[Outputs], PreTrainedConfig], list[Record]]
