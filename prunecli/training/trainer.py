"""`transformers.Trainer` with a second loss and a second learning rate; the loop is the library's own.

So mixed precision, gradient accumulation, `torchrun`, resuming and trackers come with it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Sampler, SequentialSampler
from transformers import PrinterCallback, Trainer
from transformers.trainer_pt_utils import get_length_grouped_indices

from prunecli.training.gates import Gates

WARMUP = 0.06  # share of the steps in which the weights' learning rate rises


class LengthSampler(Sampler[int]):
    """Random batches of like length, the same for a seed and epoch whatever came before.

    The library's own sampler draws from the global generator, so a resumed run would see another order.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        grouped: list[int] = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)  # type: ignore[no-untyped-call]
        return iter(grouped)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order; the Trainer calls it."""
        self.epoch = epoch


class MaskTrainer(Trainer):
    """Adds the gates' penalties to the task's loss, and gives the gates a learning rate of their own.

    Args:
        gates: The gates on the model; None trains the model as it is.
        masks_lr: Learning rate of the gates, constant; that of the weights warms up and falls linearly.
        weights: Weight of each penalty by name.
    """

    def __init__(
        self,
        *args: Any,
        gates: Gates | None = None,
        masks_lr: float = 0.0,
        weights: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.gates, self.masks_lr, self.weights = gates, masks_lr, weights or {}
        self.remove_callback(PrinterCallback)  # it prints logs on stdout, where only results belong
        self.model_accepts_loss_kwargs = False  # losses are means over a batch, and so are the penalties

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the task's loss plus the weighted penalties."""
        result = super().compute_loss(model, inputs, *args, **kwargs)
        if self.gates is None or self.gates.frozen or not model.training:
            return result
        penalties = self.gates.penalties()
        weighted = [self.weights.get(name, 0.0) * value for name, value in penalties.items()]
        extra: Tensor = torch.stack(weighted).sum()
        return (result[0] + extra, *result[1:]) if isinstance(result, tuple) else result + extra

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """Move the gates out of the library's parameter groups into one of their own, without decay."""
        optimizer: Optimizer = super().create_optimizer(model)
        if self.gates is not None:
            gates = list(self.gates.parameters())
            own = {id(parameter) for parameter in gates}
            for group in optimizer.param_groups:
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in own]
            optimizer.add_param_group({"params": gates, "lr": self.masks_lr, "weight_decay": 0.0})
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> Any:
        """Let the weights' learning rate warm up and fall linearly; keep that of the gates."""
        optimizer = optimizer or self.optimizer
        assert optimizer is not None
        warmup = max(round(WARMUP * num_training_steps), 1)

        def linear(step: int) -> float:
            falling = max(num_training_steps - step, 0) / max(num_training_steps - warmup, 1)
            return min((step + 1) / warmup, falling, 1.0)

        rates: list[Callable[[int], float]] = [linear] * len(optimizer.param_groups)
        if self.gates is not None:
            rates[-1] = lambda step: 1.0
        self.lr_scheduler = LambdaLR(optimizer, rates)
        return self.lr_scheduler

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate without drawing from the training's randomness.

        A trainer checkpoint is written before its epoch's evaluation, and a resumed run does not repeat that.
        """
        with torch.random.fork_rng():
            metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        return metrics

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the gates' state to what the trackers see."""
        if self.gates is not None and "loss" in logs:
            decided = torch.cat([mask.flatten() for mask in self.gates.decisions().values()])
            logs |= {"density": float(decided.float().mean()), "temperature": self.gates.temperature}
            logs |= {name: value.item() for name, value in self.gates.penalties().items()}
        super().log(logs, *args, **kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
        rows: Any = self.train_dataset  # the argument has lost its lengths
        return LengthSampler(list(rows["length"]), batch, self.args.seed)

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int]:
        return SequentialSampler(eval_dataset)  # sorted by length already
