"""`train-masks`: learn which heads and neurons matter, and fine-tune along."""

import copy
import json
import logging
import shutil
import time
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase, set_seed

from prunecli import __version__, methods
from prunecli.checkpoints.atomic import check_source
from prunecli.checkpoints.folder import CARD, Checkpoint, read_checkpoint
from prunecli.checkpoints.run_folder import MODEL, RECORD, REPORT, read_result
from prunecli.checkpoints.safetensors_file import FLOATS
from prunecli.checkpoints.source import find_model
from prunecli.checkpoints.tokenizer_files import write_tokenizer
from prunecli.config import TrainMasksConfig
from prunecli.encoders import Encoder
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.masks import MaskSet, formats
from prunecli.masks.budget import encoder_flops
from prunecli.masks.units import mask_shape
from prunecli.models import pruned
from prunecli.models.loading import Loaded, load_model, load_tokenizer, longest_input
from prunecli.models.pruned import encoder_of
from prunecli.reports import html, run_record
from prunecli.tasks import Task, TaskData, load_task
from prunecli.training.arguments import check_options, gate_schedule, steps_an_epoch, training_arguments
from prunecli.training.callbacks import Progress, ReportProgress
from prunecli.training.gates import Gates, attach, weights_only
from prunecli.training.head import fit_labels, has_head
from prunecli.training.outcome import TrainMasksPlan, TrainMasksResult, metrics_of, outcome
from prunecli.training.resuming import check_run_target, finish, work_folder
from prunecli.training.trainer import MaskTrainer

log = logging.getLogger(__name__)

TORCH_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def plan(config: TrainMasksConfig) -> TrainMasksPlan:
    """Check model, data and target, and say what `run` would do; nothing is loaded or written.

    Raises:
        PruneError: The model, data or output folder cannot be used.
    """
    check_run_target(config)
    methods.get(config.method)
    checkpoint, data = _inputs(config)
    encoder = encoder_of(checkpoint)
    _say_sharing(encoder)
    steps = steps_an_epoch(config, len(data.train)) * config.num_epochs
    return TrainMasksPlan(
        out=config.out_folder,
        model=checkpoint.path,
        task=data.task.name,
        kind=data.task.kind.name,
        data=data.source,
        rows=(len(data.train), len(data.validation)),
        new_head=not has_head(checkpoint, data.task),
        units={group: mask_shape(encoder, group)[1] for group in config.groups},
        layers=encoder.layers,
        steps=min(steps, config.max_steps or steps),
        flops=encoder_flops(encoder, MaskSet({}), config.max_length or data.task.kind.usual_length),
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
    check_options(config)
    checkpoint, data = _inputs(config)
    set_seed(config.seed)
    loaded = _load(checkpoint, data.task, config)
    _say_sharing(loaded.encoder)
    tokenizer = load_tokenizer(checkpoint)
    max_length = _max_length(config.max_length, data.task, loaded, tokenizer)
    features = data.task.kind.features(data, tokenizer, max_length)

    arguments = training_arguments(config, len(features.train))
    with work_folder(config) as (work, last):
        common = {
            "train_dataset": features.train,
            "eval_dataset": features.validation,
            "compute_metrics": features.score,
            "data_collator": features.collate,
            "preprocess_logits_for_metrics": features.reduce,
            "processing_class": tokenizer,
        }
        dense = None
        if not loaded.new:
            # A copy: accelerate takes a model that it has evaluated for prepared, and would train it without DDP.
            dense = metrics_of(
                MaskTrainer(copy.deepcopy(loaded.model), arguments, **common).evaluate(), data.task
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
            callbacks=[gate_schedule(config, gates), ReportProgress(progress, data.task.metrics[0])],
            **common,
        )
        started = time.perf_counter()
        trainer.train(resume_from_checkpoint=last)
        seconds = time.perf_counter() - started

        masks = gates.mask_set(_provenance(config))
        _check_outcome(config, loaded, masks)
        result = outcome(config, data.task, features, loaded, masks, dense, trainer, seconds)
        if trainer.is_world_process_zero():
            _write(config, work, loaded, checkpoint, max_length, masks, result)
        trainer.accelerator.wait_for_everyone()
    return result


def _say_sharing(encoder: Encoder) -> None:
    if encoder.sharing:
        log.info(encoder.sharing)


def _inputs(config: TrainMasksConfig) -> tuple[Checkpoint, TaskData]:
    checkpoint = read_checkpoint(find_model(config.model, config.task))
    check_source(config.out_folder, checkpoint.path)
    if pruned.is_pruned(checkpoint.config):
        raise UnsupportedModelError(
            f"{checkpoint.path} is already cut",
            "learn masks on the dense checkpoint: a run folder keeps it in model/",
        )
    if checkpoint.config.get("pruned_heads"):
        raise UnsupportedModelError(
            f"{checkpoint.path} was pruned with transformers 4 (pruned_heads in config.json)",
            "learn masks on the dense checkpoint",
        )
    data = load_task(
        config.task,
        config.data_dir,
        config.text_columns,
        config.label_column,
        config.max_train_samples,
        config.seed,
        config.task_kind,
    )
    return checkpoint, fit_labels(data, checkpoint)


def _load(checkpoint: Checkpoint, task: Task, config: TrainMasksConfig) -> Loaded:
    """Load the model with the task's head; say loudly which parameters are new."""
    log.info("Loading %s", checkpoint.path)
    loaded = load_model(checkpoint, task.kind.head, **task.kind.config(task))
    if loaded.new:
        log.warning(
            "%s has no head for task %s: %s start at random and will be trained",
            config.model, task.name, ", ".join(loaded.new),
        )  # fmt: skip
    return loaded


def _max_length(asked: int | None, task: Task, loaded: Loaded, tokenizer: PreTrainedTokenizerBase) -> int:
    allowed = min(longest_input(loaded.model, loaded.encoder), int(tokenizer.model_max_length))
    if asked is not None and asked > allowed:
        log.warning("--max-length %d is more than the %d tokens that the model takes", asked, allowed)
    return min(asked or task.kind.usual_length, allowed)


def _check_outcome(config: TrainMasksConfig, loaded: Loaded, masks: MaskSet) -> None:
    """Refuse to write weights that diverged or masks that remove everything; warn of masks that remove nothing."""
    for name, parameter in loaded.model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise InputError(f"training diverged: {name} holds NaN or infinite values", "lower --lr")
    masks.check(loaded.encoder, config.model)
    if all((mask != 0).all() for mask in masks.masks.values()):
        log.warning("no unit was removed: train longer, or raise --sparsity-loss or --masks-lr")


def _provenance(config: TrainMasksConfig) -> dict[str, str]:
    asked = {"model": config.model, "task": config.task, "method": config.method, "seed": config.seed}
    return {"format": "pt", "prunecli": __version__, **{name: str(value) for name, value in asked.items()}}


def _write(
    config: TrainMasksConfig,
    work: Path,
    loaded: Loaded,
    checkpoint: Checkpoint,
    max_length: int,
    masks: MaskSet,
    result: TrainMasksResult,
) -> None:
    """Fill the work folder with the run's files and give it its name."""
    formats.write(masks, loaded.encoder, work)
    stored = {entry.dtype for entry in checkpoint.tensors.values() if entry.dtype in FLOATS}
    if (
        config.freeze and not loaded.new and len(stored) == 1
    ):  # the source's own weights: keep its type, exactly
        nn.Module.to(loaded.model, TORCH_TYPES[stored.pop()])
    loaded.model.save_pretrained(work / MODEL, state_dict=weights_only(loaded.model.state_dict()))
    write_tokenizer(checkpoint, loaded.encoder, work / MODEL, max_length)
    for path in (*checkpoint.carried_files, checkpoint.path / CARD):
        if path.is_file():
            shutil.copyfile(path, work / MODEL / path.name)
    written = run_record.record(config, result)
    (work / RECORD).write_text(json.dumps(written, indent=2), encoding="utf-8")
    (work / REPORT).write_text(html.training_page(written), encoding="utf-8")
    finish(work, config.out_folder)
