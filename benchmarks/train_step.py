"""What do trainable gates cost a training step, and what does a step of the cut model take?

Copies of one model train side by side in one process: one by the stock `Trainer`, without gates, the others by
`MaskTrainer` with gates on some group of units, or without gates on a model that lost heads and neurons evenly, as
recovery training does after a run. They take turns, step by step, on the same batches. A step is
what the Trainer's loop does: `training_step` (forward, loss, backward), clipping, optimizer, schedule. A round
is a few steps of each; its ratio is the median step of the other over the median plain step.

    python benchmarks/train_step.py --batch-size 32 --length 128
    python benchmarks/train_step.py MODEL --placement auto weight activation --json
    python benchmarks/train_step.py --kept 0.5 0.3 0.2      cut models, too
    OMP_NUM_THREADS=1 python benchmarks/train_step.py --cpu-time      where others use the machine too
"""

import argparse
import copy
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
)

from prunecli import methods
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.encoders import Encoder, for_config
from prunecli.masks import MaskSet
from prunecli.masks.budget import encoder_flops
from prunecli.masks.gates import GatedLinear
from prunecli.masks.units import GROUPS, PRICED_GROUPS, mask_shape
from prunecli.models.loading import load_model
from prunecli.training.gates import Gates, attach
from prunecli.training.live_cut import cut_live
from prunecli.training.trainer import MaskTrainer

STEPS = 4  # of each subject in a round
LEARNED = {"ffn_int": ("ffn_int",), "head": ("head",), "all": GROUPS}
PLACEMENTS = {"auto": None, "weight": False, "activation": True}  # what scales_activation shall say
SMALL = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Cost:
    """A step over a plain one: the median of the rounds' ratios, and their range."""

    learned: str
    placement: str
    milliseconds: float
    ratio: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, kind: tuple[str, str], steps: list[float], plain: list[float]) -> "Cost":
        ratios = [slower / step for slower, step in zip(steps, plain, strict=True)]
        return cls(*kind, median(steps), median(ratios), min(ratios), max(ratios))


class Subject:
    """A copy of a model with its trainer.

    Args:
        model: The dense model.
        folder: For the Trainer.
        learned: Which gates it gets; None for none.
        placement: Where they act.
        kept: Share of the heads and neurons of each layer that stays.
    """

    def __init__(
        self, model: PreTrainedModel, folder: str, learned: str | None, placement: str, kept: float = 1.0
    ) -> None:
        self.model, self.on_activation = copy.deepcopy(model), PLACEMENTS[placement]
        arguments = TrainingArguments(folder, report_to=[], use_cpu=not torch.cuda.is_available())
        encoder = for_config(model.config.to_dict())
        if kept < 1:
            cut_live(self.model, encoder, even_masks(encoder, kept))
        if learned is None:
            self.trainer = Trainer(self.model, arguments)
        else:
            gates = Gates(methods.get("gumbel-sigmoid"), encoder, LEARNED[learned], "open", seed=0)
            attach(self.model, encoder, gates)
            weights = {"sparsity": 0.1, "quantization": 0.01}
            self.trainer = MaskTrainer(self.model, arguments, gates=gates, masks_lr=0.01, weights=weights)
        self.trainer.create_optimizer_and_scheduler(num_training_steps=10_000)
        self.trainer.current_gradient_accumulation_steps = 1

    def step(self, batch: Batch) -> None:
        """Train one step, the gates where they choose to act or where they are told to."""
        trainer, told = self.trainer, self.on_activation
        choice = GatedLinear.scales_activation if told is None else lambda *_: told
        with patch.object(GatedLinear, "scales_activation", choice):
            loss = trainer.training_step(self.model, batch)
        trainer.accelerator.clip_grad_norm_(self.model.parameters(), trainer.args.max_grad_norm)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
        self.model.zero_grad()
        loss.item()  # waits for an accelerator


def even_masks(encoder: Encoder, kept: float) -> MaskSet:
    """Keep the first units of every layer."""
    masks = {group: np.zeros(mask_shape(encoder, group), dtype=np.float32) for group in PRICED_GROUPS}
    for mask in masks.values():
        mask[:, : round(kept * mask.shape[1])] = 1.0
    return MaskSet(masks)


def measure(subjects: list[Subject], batches: list[Batch], rounds: int, cpu_time: bool) -> list[list[float]]:
    """Return each subject's median step of each round, in milliseconds; a first round warms up."""
    clock = time.process_time if cpu_time else time.perf_counter
    medians: list[list[float]] = [[] for _ in subjects]
    for _ in range(rounds + 1):
        times: list[list[float]] = [[] for _ in subjects]
        for first, batch in enumerate(batches):
            for turn in range(len(subjects)):
                number = (first + turn) % len(subjects)
                started = clock()
                subjects[number].step(batch)
                times[number].append(1e3 * (clock() - started))
        for kept, steps in zip(medians, times, strict=True):
            kept.append(median(steps))
    return [kept[1:] for kept in medians]


def _flops(model: PreTrainedModel, kept: float, length: int) -> str:
    """Say what share of the encoder's FLOPs a cut leaves."""
    encoder = for_config(model.config.to_dict())
    left, dense = (
        encoder_flops(encoder, masks, length) for masks in (even_masks(encoder, kept), MaskSet({}))
    )
    return f"{left / dense:.1%} FLOPs"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare training steps with and without gates.")
    parser.add_argument("model", nargs="?", type=Path, help="checkpoint folder; default: a new 6-layer BERT")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128, help="tokens an example")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--placement", nargs="+", choices=PLACEMENTS, default=["auto"])
    parser.add_argument(
        "--kept", nargs="+", type=float, default=[], help="shares of heads and neurons of cut models"
    )
    parser.add_argument("--cpu-time", action="store_true", help="CPU seconds of the process, not wall time")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()

    torch.manual_seed(0)
    small = BertForSequenceClassification(BertConfig(**SMALL))
    model = load_model(read_checkpoint(asked.model)).model if asked.model else small
    labels = torch.arange(asked.batch_size) % 2
    tokens = torch.randint(model.config.vocab_size, (STEPS, asked.batch_size, asked.length))
    batches = [{"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels} for ids in tokens]
    gates = [(learned, placement) for learned in LEARNED for placement in asked.placement]
    with tempfile.TemporaryDirectory() as folder:
        subjects = [Subject(model, folder, *kind) for kind in [(None, "auto"), *gates]]
        subjects += [Subject(model, folder, None, "auto", kept) for kept in asked.kept]
        plain, *others = measure(subjects, batches, asked.rounds, asked.cpu_time)
    kinds = [*gates, *(("cut", _flops(model, kept, asked.length)) for kept in asked.kept)]
    found = [Cost.of(kind, steps, plain) for kind, steps in zip(kinds, others, strict=True)]
    if asked.json:
        print(json.dumps({"plain_milliseconds": median(plain), "costs": [asdict(cost) for cost in found]}))
        return
    threads = torch.get_num_threads()
    print(f"batch {asked.batch_size} x {asked.length}, {threads} threads, {asked.rounds} rounds")
    print(f"{'':<9}{'':<14}ms a step   ratio   range")
    print(f"{'plain':<23}{median(plain):>9.0f}   1.000")
    for cost in found:
        print(f"{cost.learned:<9}{cost.placement:<14}{cost.milliseconds:>9.0f}{cost.ratio:>8.3f}", end="   ")
        print(f"{cost.lowest:.3f} .. {cost.highest:.3f}")


if __name__ == "__main__":
    main()
