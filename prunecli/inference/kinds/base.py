"""What a kind is: what it takes from a record, which rows of tokens that makes, what is said of the outputs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from prunecli.checkpoints.folder import Checkpoint
from prunecli.config import PredictConfig
from prunecli.inference.formats.base import Record

Outputs = Mapping[str, Tensor]  # of one row, by name, on the CPU


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids that pass the model at once: a text, a pair, or one window of a long one.

    Attributes:
        inputs: What the model takes, by name.
        aside: What `decode` wants to know of the row.
    """

    inputs: Mapping[str, list[int]]
    aside: Any = None

    @property
    def tokens(self) -> int:
        """Return how long it is."""
        return len(self.inputs["input_ids"])


@dataclass(frozen=True, slots=True)
class Setting:
    """What a kind knows of the checkpoint and of what is asked.

    Attributes:
        checkpoint: The folder.
        model_config: The loaded model's config.
        tokenizer: Its tokenizer.
        max_length: Tokens of a row.
        options: What is asked.
        count: Called with what happened to a record (`records_cut`), for the summary.
    """

    checkpoint: Checkpoint
    model_config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    options: PredictConfig
    count: Callable[[str], None] = field(default=lambda what: None)

    @property
    def labels(self) -> dict[int, str]:
        """Return the names of the labels by id."""
        return {int(number): name for number, name in (self.model_config.id2label or {}).items()}


class Kind(ABC):
    """One use of a checkpoint.

    Attributes:
        known: Names of the fields that hold the input, tried in order.
        writes: Fields that `decode` may return; fields of the input that are called so are renamed.
        options: Options that it reads, of those that not every kind reads.
        reads_logits_only: Whether it needs nothing but the logits of a row, so that the last layer may compute less.
        ranks: Whether it gives documents a score.
    """

    known: ClassVar[Sequence[tuple[str, ...]]]
    writes: ClassVar[tuple[str, ...]]
    options: ClassVar[tuple[str, ...]] = ()
    reads_logits_only: ClassVar[bool] = False
    ranks: bool = False

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @classmethod
    @abstractmethod
    def is_meant(cls, checkpoint: Checkpoint) -> bool:
        """Say whether a checkpoint's config means this kind."""

    @classmethod
    @abstractmethod
    def can(cls, checkpoint: Checkpoint) -> bool:
        """Say whether a checkpoint has the head for it."""

    @abstractmethod
    def parse(self, record: Record, fields: tuple[str, ...]) -> Any:
        """Take the input out of a record.

        Raises:
            InputError: It is not there, or of the wrong type.
        """

    @abstractmethod
    def encode(self, inputs: Sequence[Any]) -> list[list[Row]]:
        """Return the rows of each input; several where it does not fit into one."""

    def outputs(self, found: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what `decode` needs of a batch's outputs, [rows, ...]; computed where the model is."""
        return {"logits": found["logits"].float()}

    @abstractmethod
    def decode(self, given: Any, rows: Sequence[Row], outputs: Sequence[Outputs]) -> Record:
        """Return the fields to write for one input."""
