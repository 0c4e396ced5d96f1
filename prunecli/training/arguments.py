"""A run's options in the words of `transformers.TrainingArguments`."""

import dataclasses
import importlib.util
import os
from typing import Any

import torch
from transformers import TrainingArguments

from prunecli.checkpoints.atomic import partial_path
from prunecli.config import TrainMasksConfig, contradictions
from prunecli.errors import InputError
from prunecli.methods.base import Method, ScoreMethod
from prunecli.training.callbacks import GateSchedule
from prunecli.training.gates import Gates

SAVE_EVERY = 500  # steps between trainer checkpoints, at most; fewer where an epoch has fewer
WEIGHT_DECAY = 0.01


def check_options(config: TrainMasksConfig, method: Method) -> None:
    """Refuse, before anything is loaded, what cannot work: no such device or tracker, a method without its target.

    Raises:
        InputError: It names the option.
    """
    if config.device in ("cuda", "mps") and not getattr(torch, config.device).is_available():
        raise InputError(f"--device {config.device}: this machine has none", "leave --device at auto")
    contradictions.check_method(config, facts_of(method))
    tracker = _tracker(config)
    if tracker != "none" and importlib.util.find_spec(tracker) is None:
        raise InputError(f"--report-to {tracker}: it is not installed", f"pip install {tracker}")


def facts_of(method: Method) -> contradictions.MethodFacts:
    """Return what options need to know of a method."""
    if isinstance(method, ScoreMethod):
        return contradictions.MethodFacts(trains=False, layers=method.layers)
    return contradictions.MethodFacts(trains=True, layers=True, anneals=method.anneals)


def training_arguments(config: TrainMasksConfig, rows: int) -> TrainingArguments:
    """Return what the Trainer needs to know; it also tells the processes of a distributed run apart.

    Args:
        config: The run's options.
        rows: Training examples.
    """
    arguments = TrainingArguments(
        output_dir=str(partial_path(config.out_folder)),
        run_name=config.name or config.out_folder.name,
        report_to=[_tracker(config)],
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=2 * config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        num_train_epochs=config.num_epochs,
        max_steps=config.max_steps or -1,
        learning_rate=config.lr,
        weight_decay=WEIGHT_DECAY,
        eval_strategy="epoch",
        save_strategy="steps",
        save_steps=min(steps_an_epoch(config, rows), SAVE_EVERY),
        save_total_limit=1,
        logging_steps=config.log_loss_every,
        seed=config.seed,
        use_cpu=config.device == "cpu" or (config.device == "auto" and not torch.accelerator.is_available()),
        bf16=config.dtype == "bfloat16",
        fp16=config.dtype == "float16",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=config.frozen_epochs > 0,  # frozen gates take part in no loss
    )
    if (
        arguments.n_gpu > 1
    ):  # DataParallel's replicas would share one set of gate values: torchrun uses more GPUs
        arguments._n_gpu = 1
    return arguments


def changed(arguments: TrainingArguments, **changes: Any) -> TrainingArguments:
    """Return arguments with other values; they too use one GPU a process."""
    arguments = dataclasses.replace(arguments, **changes)
    arguments._n_gpu = min(arguments.n_gpu, 1)  # as above; replace() counts anew
    return arguments


def steps_an_epoch(config: TrainMasksConfig, rows: int) -> int:
    """Return the optimizer steps of one pass over the data, which the processes of torchrun share."""
    processes = int(os.environ.get("WORLD_SIZE") or 1)
    batches = -(-rows // (config.batch_size * processes))
    return max(-(-batches // config.gradient_accumulation), 1)


def gate_schedule(config: TrainMasksConfig, gates: Gates) -> GateSchedule:
    """Return the callback that anneals and freezes the gates."""
    return GateSchedule(
        gates,
        config.gumbel_temp_anneal,
        config.gumbel_temp_start,
        config.gumbel_temp_end,
        config.frozen_epochs,
    )


def _tracker(config: TrainMasksConfig) -> str:
    return "wandb" if config.wandb else config.report_to
