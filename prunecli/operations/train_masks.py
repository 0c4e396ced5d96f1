"""`train-masks`: learn which heads and neurons matter, and fine-tune along."""

import importlib.util
import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase, TrainingArguments, set_seed

from prunecli import __version__, methods
from prunecli.checkpoints.folder import CARRIED, Checkpoint, read_checkpoint
from prunecli.checkpoints.run_folder import MODEL, RECORD, REPORT, read_result
from prunecli.checkpoints.source import find_model
from prunecli.config import TrainMasksConfig
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.masks import MaskSet, formats
from prunecli.masks.budget import encoder_flops, layer_parameters
from prunecli.masks.units import mask_shape
from prunecli.models import pruned
from prunecli.models.loading import Loaded, encoder_of, load_model, load_tokenizer
from prunecli.reports import html, run_record
from prunecli.tasks import Task, TaskData, load_task
from prunecli.training.callbacks import GateSchedule, Progress, ReportProgress
from prunecli.training.features import Features, make_features
from prunecli.training.gates import NAME, Gates, attach, weights_only
from prunecli.training.head import fit_labels, has_head, head_config
from prunecli.training.resuming import check_run_target, finish, work_folder
from prunecli.training.trainer import MaskTrainer

log = logging.getLogger(__name__)

SAVE_EVERY = 500  # steps between trainer checkpoints, at most; there is one after each epoch in any case
WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True)
class TrainMasksPlan:
    """What a run would do.

    Attributes:
        out: The run folder.
        model: The checkpoint folder.
        task: The task.
        data: Where its rows come from.
        rows: Training and validation rows.
        new_head: Whether the checkpoint lacks the task's head.
        units: Units a layer of each group to learn.
        layers: Layers.
        steps: Optimizer steps.
        flops: Encoder FLOPs of one example at the longest length, with all units.
    """

    out: Path
    model: Path
    task: str
    data: str
    rows: tuple[int, int]
    new_head: bool
    units: dict[str, int]
    layers: int
    steps: int
    flops: int


@dataclass(frozen=True, slots=True)
class TrainMasksResult:
    """What a run found.

    Attributes:
        out: The run folder.
        model: The checkpoint that was started from.
        task: The task.
        metric: The headline metric; `dense` and `masked` have all of them.
        dense: Metrics before training, with all units; None where the head was new.
        masked: Metrics after training, with the hard masks.
        new_parameters: Parameters that the checkpoint lacked and that were trained from scratch.
        density: Kept share of each learned group.
        kept: Kept units of each learned group, by layer.
        units: Units a layer of each learned group.
        tokens: Length at which FLOPs are counted: the mean of the training data.
        flops: Encoder FLOPs of one example, dense and kept.
        parameters: Parameters of the whole model, dense and kept.
        steps: Optimizer steps.
        seconds: Wall time of the training.
        history: What was logged: losses, metrics, density, temperature, by step.
    """

    out: Path
    model: str
    task: str
    metric: str
    dense: dict[str, float] | None
    masked: dict[str, float]
    new_parameters: tuple[str, ...]
    density: dict[str, float]
    kept: dict[str, list[int]]
    units: dict[str, int]
    tokens: int
    flops: tuple[int, int]
    parameters: tuple[int, int]
    steps: int
    seconds: float
    history: list[dict[str, float]]


def plan(config: TrainMasksConfig) -> TrainMasksPlan:
    """Check model, data and target, and say what `run` would do; nothing is loaded or written.

    Raises:
        PruneError: The model, data or output folder cannot be used.
    """
    check_run_target(config)
    methods.get(config.method)
    checkpoint, data = _inputs(config)
    encoder = encoder_of(checkpoint)
    steps = _steps_an_epoch(config, len(data.train)) * config.num_epochs
    return TrainMasksPlan(
        out=config.out_folder,
        model=checkpoint.path,
        task=data.task.name,
        data=data.source,
        rows=(len(data.train), len(data.validation)),
        new_head=not has_head(checkpoint, data.task),
        units={group: mask_shape(encoder, group)[1] for group in config.groups},
        layers=encoder.layers,
        steps=min(steps, config.max_steps or steps),
        flops=encoder_flops(encoder, MaskSet({}), config.max_length),
    )


def run(config: TrainMasksConfig, progress: Progress) -> TrainMasksResult:
    """Learn masks and write the run folder.

    Args:
        config: What to do.
        progress: Called with a label, steps done and steps in all.

    Raises:
        PruneError: The model, data or output folder cannot be used; nothing was written.
    """
    if check_run_target(config):
        log.warning("%s is already complete", config.out_folder)
        return TrainMasksResult(**{**read_result(config.out_folder), "out": config.out_folder})
    method = methods.get(config.method)
    _check_machine(config)
    checkpoint, data = _inputs(config)
    set_seed(config.seed)
    loaded = _load(checkpoint, data.task, config)
    tokenizer = load_tokenizer(checkpoint)
    features = make_features(data, tokenizer, _max_length(config.max_length, loaded, tokenizer))

    with work_folder(config) as (work, last):
        arguments = _arguments(config, work, len(features.train))
        common = {
            "train_dataset": features.train,
            "eval_dataset": features.validation,
            "compute_metrics": features.score,
            "data_collator": DataCollatorWithPadding(tokenizer),
            "processing_class": tokenizer,
        }
        dense = (
            None
            if loaded.new
            else _metrics(MaskTrainer(loaded.model, arguments, **common).evaluate(), data.task)
        )
        if config.freeze:
            for name, parameter in loaded.model.named_parameters():
                parameter.requires_grad_(name in loaded.new)
        gates = Gates(method, loaded.encoder, config.groups, config.mask_init, config.seed)
        attach(loaded.model, loaded.encoder, gates)
        trainer = MaskTrainer(
            loaded.model,
            arguments,
            gates=gates,
            masks_lr=config.masks_lr,
            weights={"sparsity": config.sparsity_loss, "quantization": config.quantization_loss},
            callbacks=[_schedule(config, gates), ReportProgress(progress, data.task.metrics[0])],
            **common,
        )
        started = time.perf_counter()
        trainer.train(resume_from_checkpoint=last)
        seconds = time.perf_counter() - started

        masks = gates.mask_set(_provenance(config))
        masks.check(loaded.encoder, config.model)
        if all((mask != 0).all() for mask in masks.masks.values()):
            log.warning(
                "no unit was removed in %d steps: train longer, or raise --sparsity-loss or --masks-lr",
                trainer.state.global_step,
            )
        result = _result(config, data.task, features, loaded, masks, dense, trainer, seconds)
        if trainer.is_world_process_zero():
            _write(config, work, loaded, tokenizer, checkpoint, masks, result)
        trainer.accelerator.wait_for_everyone()
    return result


def _check_machine(config: TrainMasksConfig) -> None:
    """Refuse a device or tracker that is not there, before anything is loaded."""
    if config.device in ("cuda", "mps") and not getattr(torch, config.device).is_available():
        raise InputError(f"--device {config.device}: this machine has none", "leave --device at auto")
    tracker = _tracker(config)
    if tracker != "none" and importlib.util.find_spec(tracker) is None:
        raise InputError(f"--report-to {tracker}: it is not installed", f"pip install {tracker}")


def _tracker(config: TrainMasksConfig) -> str:
    return "wandb" if config.wandb else config.report_to


def _inputs(config: TrainMasksConfig) -> tuple[Checkpoint, TaskData]:
    checkpoint = read_checkpoint(find_model(config.model, config.task))
    if pruned.is_pruned(checkpoint.config):
        raise UnsupportedModelError(
            f"{checkpoint.path} is already cut",
            "learn masks on the dense checkpoint: a run folder keeps it in model/",
        )
    data = load_task(
        config.task,
        config.data_dir,
        config.text_columns,
        config.label_column,
        config.max_train_samples,
        config.seed,
    )
    return checkpoint, fit_labels(data, checkpoint)


def _load(checkpoint: Checkpoint, task: Task, config: TrainMasksConfig) -> Loaded:
    """Load the model with the task's head; say loudly which parameters are new."""
    log.info("Loading %s", checkpoint.path)
    loaded = load_model(checkpoint, task.head, **head_config(task))
    if loaded.new:
        log.warning(
            "%s has no head for task %s: %s start at random and will be trained",
            config.model, task.name, ", ".join(loaded.new),
        )  # fmt: skip
    return loaded


def _max_length(asked: int, loaded: Loaded, tokenizer: PreTrainedTokenizerBase) -> int:
    positions = loaded.model.config.max_position_embeddings - loaded.encoder.model_type.position_offset
    allowed = min(positions, tokenizer.model_max_length)
    if asked > allowed:
        log.warning("--max-length %d is more than the %d tokens that the model takes", asked, allowed)
    return int(min(asked, allowed))


def _arguments(config: TrainMasksConfig, work: Path, rows: int) -> TrainingArguments:
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
        save_steps=min(_steps_an_epoch(config, rows), SAVE_EVERY),
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


def _steps_an_epoch(config: TrainMasksConfig, rows: int) -> int:
    batches = -(-rows // config.batch_size)
    return max(-(-batches // config.gradient_accumulation), 1)


def _schedule(config: TrainMasksConfig, gates: Gates) -> GateSchedule:
    return GateSchedule(
        gates,
        config.gumbel_temp_anneal,
        config.gumbel_temp_start,
        config.gumbel_temp_end,
        config.frozen_epochs,
    )


def _metrics(logs: dict[str, float], task: Task) -> dict[str, float]:
    return {name: logs[f"eval_{name}"] for name in task.metrics}


def _last_metrics(trainer: MaskTrainer, task: Task) -> dict[str, float]:
    """Return the metrics with the final masks: the last epoch's evaluation, where it was the last step."""
    last = [entry for entry in trainer.state.log_history if "eval_loss" in entry][-1:]
    fresh = bool(last) and last[0]["step"] == trainer.state.global_step
    return _metrics(last[0] if fresh else trainer.evaluate(), task)


def _provenance(config: TrainMasksConfig) -> dict[str, str]:
    asked = {"model": config.model, "task": config.task, "method": config.method, "seed": config.seed}
    return {"format": "pt", "prunecli": __version__, **{name: str(value) for name, value in asked.items()}}


def _result(
    config: TrainMasksConfig,
    task: Task,
    features: Features,
    loaded: Loaded,
    masks: MaskSet,
    dense: dict[str, float] | None,
    trainer: MaskTrainer,
    seconds: float,
) -> TrainMasksResult:
    encoder, tokens = loaded.encoder, features.mean_length
    everything = sum(
        parameter.numel() for name, parameter in loaded.model.named_parameters() if not name.startswith(NAME)
    )
    saved = layer_parameters(encoder, MaskSet({})) - layer_parameters(encoder, masks)
    return TrainMasksResult(
        out=config.out_folder,
        model=config.model,
        task=task.name,
        metric=task.metrics[0],
        dense=dense,
        masked=_last_metrics(trainer, task),
        new_parameters=loaded.new,
        density={group: masks.density(group) for group in masks.masks},
        kept={group: [int(row.sum()) for row in mask != 0] for group, mask in masks.masks.items()},
        units={group: mask.shape[1] for group, mask in masks.masks.items()},
        tokens=tokens,
        flops=(encoder_flops(encoder, MaskSet({}), tokens), encoder_flops(encoder, masks, tokens)),
        parameters=(everything, everything - saved),
        steps=trainer.state.global_step,
        seconds=seconds,
        history=[entry for entry in trainer.state.log_history if "loss" in entry or "eval_loss" in entry],
    )


def _write(
    config: TrainMasksConfig,
    work: Path,
    loaded: Loaded,
    tokenizer: PreTrainedTokenizerBase,
    checkpoint: Checkpoint,
    masks: MaskSet,
    result: TrainMasksResult,
) -> None:
    """Fill the work folder with the run's files and give it its name."""
    formats.write(masks, loaded.encoder, work)
    if config.freeze and not loaded.new:  # the weights are those of the source: keep its type, which is exact
        loaded.model.to(getattr(torch, checkpoint.config.get("dtype") or "float32"))
    loaded.model.save_pretrained(work / MODEL, state_dict=weights_only(loaded.model.state_dict()))
    tokenizer.save_pretrained(work / MODEL)
    for name in CARRIED:
        if (checkpoint.path / name).is_file():
            shutil.copyfile(checkpoint.path / name, work / MODEL / name)
    written = run_record.record(config, result)
    (work / RECORD).write_text(json.dumps(written, indent=2), encoding="utf-8")
    (work / REPORT).write_text(html.training_page(written), encoding="utf-8")
    finish(work, config.out_folder)
