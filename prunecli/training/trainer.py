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

from prunecli.training.distillation import Teacher
from prunecli.training.gates import Gates

WARMUP = 0.06  # share of the steps in which the weights' learning rate rises
# Of the gates' learning rate, for those of whole sublayers. Adam moves each by about its rate a step: at the same rate
# a budget would shut whole sublayers before their units have been told apart.
COARSE = 0.2


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
        teacher: What to learn from besides the labels.
        masks_lr: Learning rate of the gates, constant; that of the weights warms up and falls linearly.
        weights: Weight of each penalty by name.
        every_output: Whether scores read every output, also those that the model's class leaves out of metrics.
    """

    def __init__(
        self,
        *args: Any,
        gates: Gates | None = None,
        masks_lr: float = 0.0,
        weights: dict[str, float] | None = None,
        teacher: Teacher | None = None,
        every_output: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.every_output = every_output
        self.gates, self.masks_lr, self.weights, self.teacher = gates, masks_lr, weights or {}, teacher
        self.remove_callback(PrinterCallback)  # it prints logs on stdout, where only results belong
        self.model_accepts_loss_kwargs = False  # losses are means over a batch, and so are the penalties

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the task's or the teacher's loss plus what the gates cost."""
        if self.teacher is not None and model.training:
            result = self._distilled(model, inputs, *args, **kwargs)
        else:
            result = super().compute_loss(model, inputs, *args, **kwargs)
        if self.gates is None or self.gates.frozen or not model.training:
            return result
        penalties = self.gates.penalties()
        if self.gates.lagrangian is not None:  # the budget says how much goes
            penalties["sparsity"] = self.gates.lagrangian(self.gates.chances())
        weights = self.weights if self.gates.lagrangian is None else {**self.weights, "sparsity": 1.0}
        extra: Tensor = torch.stack(
            [weights.get(name, 0.0) * value for name, value in penalties.items()]
        ).sum()
        return (result[0] + extra, *result[1:]) if isinstance(result, tuple) else result + extra

    def _distilled(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        assert self.teacher is not None
        inputs = self.teacher.varied(inputs)
        _without_dropout(model)
        asked = {**inputs, "output_hidden_states": True}
        task_loss, outputs = super().compute_loss(model, asked, return_outputs=True, **kwargs)
        loss = self.teacher.loss(task_loss, outputs, inputs)
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], loss_only: bool, ignore_keys: list[str] | None = None
    ) -> Any:
        """Return loss, outputs and labels of a batch."""
        ignored = [] if self.every_output and ignore_keys is None else ignore_keys
        return super().prediction_step(model, inputs, loss_only, ignored)

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """Move the gates out of the library's parameter groups into groups of their own, without decay."""
        optimizer: Optimizer = super().create_optimizer(model)
        if self.gates is not None:
            own = {id(parameter) for parameter in self.gates.parameters()}
            for group in optimizer.param_groups:
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in own]
            for logits, rate in ((self.gates.logits, 1.0), (self.gates.coarse, COARSE)):
                alone = {"lr": rate * self.masks_lr, "weight_decay": 0.0}
                if parameters := list(logits.parameters()):
                    optimizer.add_param_group({"params": parameters, **alone})
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> Any:
        """Let the weights' learning rate warm up and fall linearly; keep that of the gates."""
        optimizer = optimizer or self.optimizer
        assert optimizer is not None
        warmup = max(round(WARMUP * num_training_steps), 1)

        def linear(step: int) -> float:
            falling = max(num_training_steps - step, 0) / max(num_training_steps - warmup, 1)
            return min((step + 1) / warmup, falling, 1.0)

        def constant(step: int) -> float:
            return 1.0

        own = {id(parameter) for parameter in self.gates.parameters()} if self.gates is not None else set()
        rates: list[Callable[[int], float]] = [
            constant if any(id(parameter) in own for parameter in group["params"]) else linear
            for group in optimizer.param_groups
        ]
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
            if self.gates.lagrangian is not None:
                logs["kept"] = self.gates.lagrangian.expected(self.gates.chances()).item()
        super().log(logs, *args, **kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
        rows: Any = self.train_dataset  # the argument has lost its lengths
        return LengthSampler(list(rows["length"]), batch, self.args.seed)

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int]:
        return SequentialSampler(eval_dataset)  # sorted by length already


def _without_dropout(model: nn.Module) -> None:
    """Let a student compute as it will when it is used, but for its gates; the Trainer undoes it before each step.

    Its teacher has no dropout: what a student learns while it has some makes up for that, and is off without.
    """
    for module in model.modules():
        module.training = module is model or isinstance(module, Gates)
