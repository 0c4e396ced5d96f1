"""Batches of like length within a budget of tokens, longest first, halved where memory runs out.

Shape suffixes: R rows, T tokens.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from prunecli.inference.kinds.base import Outputs, Row

log = logging.getLogger(__name__)

Model = Callable[..., Mapping[str, Tensor]]
Needed = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], dict[str, Tensor]]


@dataclass(slots=True)
class Tally:
    """What went through the model.

    Attributes:
        real: Tokens of texts.
        padded: Tokens with padding.
        batches: Forward passes.
        halved: How often a batch was halved for want of memory.
        seconds: Wall time of all that.
    """

    real: int = 0
    padded: int = 0
    batches: int = 0
    halved: int = 0
    seconds: float = 0.0


class Batcher:
    """Runs a model over rows of any length.

    Args:
        model: It takes tensors by name, and returns them by name.
        device: Where it computes.
        needed: What of its outputs is needed, [rows, ...]: (outputs, batch) -> tensors by name.
        tokenizer: Its padding.
        budget: Tokens a batch, with padding; it shrinks where memory runs out.
    """

    def __init__(
        self,
        model: Model,
        device: torch.device,
        needed: Needed,
        tokenizer: PreTrainedTokenizerBase,
        budget: int,
    ) -> None:
        self.model, self.device, self.needed, self.budget = model, device, needed, budget
        self.padding = {
            "input_ids": tokenizer.pad_token_id or 0,
            "token_type_ids": tokenizer.pad_token_type_id,
        }
        self.tally = Tally()

    def forward(self, rows: Sequence[Row]) -> list[Outputs | None]:
        """Return what the model says of each row, in the order of `rows`; None where a row does not fit.

        Longest first: what does not fit into memory fails at once.
        """
        started = time.perf_counter()
        order = sorted(range(len(rows)), key=lambda row: rows[row].tokens, reverse=True)
        found: list[Outputs | None] = [None] * len(rows)
        start = 0
        while start < len(order):
            batch = order[start : start + max(self.budget // max(rows[order[start]].tokens, 1), 1)]
            outputs = self._try([rows[row] for row in batch])
            if outputs is None and len(batch) > 1:
                self.budget = max(self.budget // 2, 1)
                self.tally.halved += 1
                log.warning("Out of memory: going on with %d tokens a batch", self.budget)
                continue
            for row, output in zip(batch, outputs or (), strict=False):
                found[row] = output
            start += len(batch)
        self.tally.seconds += time.perf_counter() - started
        return found

    def _try(self, rows: Sequence[Row]) -> list[Outputs] | None:
        """Run one batch; None where memory runs out."""
        try:
            return list(self._run(rows))
        except (torch.OutOfMemoryError, MemoryError):
            pass
        except RuntimeError as error:
            if "not enough memory" not in str(error):  # what the CPU's allocator says
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    @torch.inference_mode()
    def _run(self, rows: Sequence[Row]) -> Iterator[Outputs]:
        batch = {
            name: torch.from_numpy(padded([row.inputs[name] for row in rows], self.padding.get(name, 0))).to(
                self.device
            )
            for name in rows[0].inputs
        }
        outputs = self.needed(self.model(**batch), batch)
        self.tally.batches += 1
        self.tally.real += sum(row.tokens for row in rows)
        self.tally.padded += batch["input_ids"].numel()
        moved = {name: values.cpu() for name, values in outputs.items()}
        for values in zip(*moved.values(), strict=True):
            yield dict(zip(moved, values, strict=True))


def padded(rows: Sequence[Sequence[int]], padding: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return rows as an array [R, T], filled up on the right."""
    ids_RT = np.full((len(rows), max(map(len, rows))), padding, dtype=np.int64)
    for number, row in enumerate(rows):
        ids_RT[number, : len(row)] = row
    return ids_RT
