"""How much faster is a cut checkpoint than its dense one?

    python benchmarks/latency.py DENSE PRUNED [--batch-sizes 1 8 32] [--lengths 32 128] [--threads 1]

Both models stand in one process and take turns on the same inputs, so that drift of the machine hits both. A
round times one forward pass of each; the ratio is the median over the rounds of dense time by pruned time.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from transformers import PreTrainedModel

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.run_folder import model_of
from prunecli.models.loading import load_model


@dataclass(frozen=True)
class Row:
    """One batch shape: median milliseconds of each model, and the speed-up with its spread over rounds."""

    batch_size: int
    length: int
    dense_ms: float
    pruned_ms: float
    speedup: float
    lowest: float
    highest: float


def milliseconds(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> float:
    """Time one forward pass."""
    started = time.perf_counter()
    model(**inputs)
    return (time.perf_counter() - started) * 1000


@torch.inference_mode()
def compare(
    dense: PreTrainedModel, pruned: PreTrainedModel, batch_size: int, length: int, rounds: int
) -> Row:
    """Let the two models take turns on one batch."""
    ids = torch.randint(5, dense.config.vocab_size, (batch_size, length))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    for model in (dense, pruned):  # the first passes allocate
        milliseconds(model, inputs)
    times = [(milliseconds(dense, inputs), milliseconds(pruned, inputs)) for _ in range(rounds)]
    ratios = [slow / fast for slow, fast in times]
    quarter = sorted(ratios)[len(ratios) // 4], sorted(ratios)[-len(ratios) // 4 - 1]
    slow_ms, fast_ms = (median(column) for column in zip(*times, strict=True))
    return Row(batch_size, length, slow_ms, fast_ms, median(ratios), *quarter)


def main() -> None:
    """Read the command line, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dense", type=Path)
    parser.add_argument("pruned", type=Path)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    dense, pruned = (
        load_model(read_checkpoint(model_of(path))).model for path in (asked.dense, asked.pruned)
    )
    rows = [
        compare(dense, pruned, batch, length, asked.rounds)
        for length in asked.lengths
        for batch in asked.batch_sizes
    ]
    if asked.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print(f"{'batch':>6}{'tokens':>8}{'dense ms':>10}{'pruned ms':>11}{'speed-up':>10}   middle half")
    for row in rows:
        print(
            f"{row.batch_size:>6}{row.length:>8}{row.dense_ms:>10.1f}{row.pruned_ms:>11.1f}{row.speedup:>10.2f}"
            f"   {row.lowest:.2f} .. {row.highest:.2f}"
        )


if __name__ == "__main__":
    main()
