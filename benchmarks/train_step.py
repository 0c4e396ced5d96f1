"""What do trainable gates cost a training step?

The same model is trained side by side in one process: without gates, and with gates on each group of units.
Every round gives each of them a few steps on the same batches, in an order that rotates; a round's ratio is
its median step with gates over its median step without. Steps are timed inside `Trainer.train`, from
`on_step_begin` to `on_step_end`: forward, backward, clipping, optimizer. The side without gates is `MaskTrainer`
with `gates=None`, which changes nothing in `Trainer`'s step and draws the same batches.

    python benchmarks/train_step.py --batch-size 32 --length 128
    python benchmarks/train_step.py MODEL --placement auto weight activation --json
"""

import argparse
import copy
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel, TrainerCallback, TrainingArguments

from prunecli import methods
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.encoders import for_config
from prunecli.masks.gates import GatedLinear
from prunecli.masks.units import GROUPS
from prunecli.models.loading import load_model
from prunecli.training.gates import Gates, attach
from prunecli.training.trainer import MaskTrainer

STEPS = 4  # of one trainer in one round; the first fills the optimizer's state and is not counted
LEARNED = {"ffn_int": ("ffn_int",), "head": ("head",), "all": GROUPS}
PLACEMENTS = {"auto": None, "weight": False, "activation": True}


@dataclass(frozen=True, slots=True)
class Cost:
    """A step with gates over one without: the median of the rounds' ratios, and their range."""

    learned: str
    placement: str
    milliseconds: float
    ratio: float
    lowest: float
    highest: float


class Stopwatch(TrainerCallback):
    """Keeps the seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self.started = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds.append(time.perf_counter() - self.started)


class Subject:
    """A copy of the model with its trainer; `learned` None is the plain step."""

    def __init__(self, model: PreTrainedModel, data: Dataset, arguments: TrainingArguments, learned: str | None) -> None:
        self.stopwatch, gates, model = Stopwatch(), None, copy.deepcopy(model)
        if learned is not None:
            encoder = for_config(model.config.to_dict())
            gates = Gates(methods.get("gumbel-sigmoid"), encoder, LEARNED[learned], "open", seed=0)
            attach(model, encoder, gates)
        weights = {"sparsity": 0.1, "quantization": 0.01}
        self.trainer = MaskTrainer(
            model, arguments, gates=gates, masks_lr=0.01, weights=weights, train_dataset=data, callbacks=[self.stopwatch]
        )

    def step_seconds(self, on_activation: bool | None) -> float:
        """Train for some steps, the gates where they choose to be or where they are told to be."""
        chosen = GatedLinear.scales_activation
        if on_activation is not None:
            GatedLinear.scales_activation = lambda linear, dim, tokens: on_activation  # type: ignore[method-assign]
        try:
            self.stopwatch.seconds.clear()
            self.trainer.train()
        finally:
            GatedLinear.scales_activation = chosen  # type: ignore[method-assign]
        return median(self.stopwatch.seconds[1:])


def measure(model: PreTrainedModel, data: Dataset, batch_size: int, rounds: int, placements: list[str]) -> tuple[float, list[Cost]]:
    """Return the seconds of a plain step, and what each kind of gates costs."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=batch_size, num_train_epochs=1, save_strategy="no", logging_strategy="no",
            report_to=[], disable_tqdm=True, use_cpu=not torch.cuda.is_available(), dataloader_pin_memory=False,
        )  # fmt: skip
        plain = Subject(model, data, arguments, None)
        gated = {learned: Subject(model, data, arguments, learned) for learned in LEARNED}
        runs = [(plain, "", "auto"), *((gated[name], name, place) for name in gated for place in placements)]
        seconds: dict[tuple[str, str], list[float]] = {(name, place): [] for _, name, place in runs}
        for number in range(rounds + 1):
            first = number % len(runs)
            for subject, name, place in runs[first:] + runs[:first]:
                seconds[name, place].append(subject.step_seconds(PLACEMENTS[place]))
    base = seconds.pop(("", "auto"))[1:]  # the first round warms up
    costs = []
    for (name, place), times in seconds.items():
        ratios = [time_ / plain_ for time_, plain_ in zip(times[1:], base, strict=True)]
        costs.append(Cost(name, place, 1e3 * median(times[1:]), median(ratios), min(ratios), max(ratios)))
    return median(base), costs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, help="checkpoint folder; else a new 6-layer, 384-wide BERT")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128, help="tokens an example")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--placement", nargs="+", choices=PLACEMENTS, default=["auto"], help="where the gates act")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()

    torch.manual_seed(0)
    small = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model = load_model(read_checkpoint(asked.model)).model if asked.model else BertForSequenceClassification(small)
    rows = asked.batch_size * STEPS
    tokens = torch.randint(1000, (rows, asked.length)).tolist()
    data = Dataset.from_dict({"input_ids": tokens, "labels": [row % 2 for row in range(rows)], "length": [asked.length] * rows})
    plain, costs = measure(model, data, asked.batch_size, asked.rounds, asked.placement)

    if asked.json:
        print(json.dumps({"plain_milliseconds": 1e3 * plain, "costs": [asdict(cost) for cost in costs]}))
        return
    print(f"batch {asked.batch_size} x {asked.length} tokens, {torch.get_num_threads()} threads, {asked.rounds} rounds")
    print(f"{'gates':<9}{'placement':<12}{'ms a step':>10}{'ratio':>8}   range")
    print(f"{'none':<21}{1e3 * plain:>10.0f}{1:>8.3f}")
    for cost in costs:
        print(f"{cost.learned:<9}{cost.placement:<12}{cost.milliseconds:>10.0f}{cost.ratio:>8.3f}   {cost.lowest:.3f} .. {cost.highest:.3f}")


if __name__ == "__main__":
    main()
