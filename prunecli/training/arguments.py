"""A run's options in the words of `transformers.TrainingArguments`."""

import importlib.util
from pathlib import Path

import torch
from transformers import TrainingArguments

from prunecli.config import TrainMasksConfig
from prunecli.errors import InputError
from prunecli.training.callbacks import GateSchedule
from prunecli.training.gates import Gates

SAVE_EVERY = 500  # steps between trainer checkpoints, at most; there is one after each epoch in any case
WEIGHT_DECAY = 0.01


def check_machine(config: TrainMasksConfig) -> None:
    """Refuse a device or tracker that is not there, before anything is loaded.

    Raises:
        InputError: It names the option.
    """
    if config.device in ("cuda", "mps") and not getattr(torch, config.device).is_available():
        raise InputError(f"--device {config.device}: this machine has none", "leave --device at auto")
    tracker = _tracker(config)
    if tracker != "none" and importlib.util.find_spec(tracker) is None:
        raise InputError(f"--report-to {tracker}: it is not installed", f"pip install {tracker}")


def training_arguments(config: TrainMasksConfig, work: Path, rows: int) -> TrainingArguments:
    """Return what the Trainer needs to know.

    Args:
        config: The run's options.
        work: Where trainer checkpoints go.
        rows: Training examples.
    """
    return TrainingArguments(
        output_dir=str(work),
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
        use_cpu=config.device == "cpu",
        bf16=config.dtype == "bfloat16",
        fp16=config.dtype == "float16",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=config.frozen_epochs > 0,  # frozen gates take part in no loss
    )


def steps_an_epoch(config: TrainMasksConfig, rows: int) -> int:
    """Return the optimizer steps of one pass over the data."""
    batches = -(-rows // config.batch_size)
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
