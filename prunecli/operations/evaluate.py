"""`evaluate`: score a checkpoint on a task."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, TrainingArguments

from prunecli.checkpoints.folder import RECORD, Checkpoint, read_checkpoint
from prunecli.checkpoints.run_folder import is_run, model_of
from prunecli.checkpoints.source import find_model
from prunecli.config import EvaluateConfig
from prunecli.errors import UnsupportedModelError
from prunecli.inference.runnable import find_device, load_with_head, longest_row
from prunecli.masks import formats
from prunecli.masks.formats import safetensors_masks
from prunecli.masks.gates import put_gates, set_masks
from prunecli.models.loading import load_tokenizer
from prunecli.models.shipped import encoder_of
from prunecli.progress import Progress, silent
from prunecli.tasks import Task, load_split
from prunecli.tasks.features import Features
from prunecli.training.callbacks import ReportScoring
from prunecli.training.head import fit_labels, has_head
from prunecli.training.trainer import MaskTrainer


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """How well a checkpoint does a task.

    Attributes:
        checkpoint: The folder; of a run folder, its model with its masks.
        task: The task.
        kind: How it is scored: classification, token-classification ...
        data: Where the rows come from.
        split: The split that was scored.
        metric: The headline metric.
        metrics: All metrics of the task, shares between 0 and 1 but for correlations and perplexity.
        rows: Rows that were scored.
        max_length: Tokens that a row was cut to.
        seconds: Wall time of the scoring, without loading and tokenising.
        rows_per_second: Rows by seconds.
    """

    checkpoint: Path
    task: str
    kind: str
    data: str
    split: str
    metric: str
    metrics: dict[str, float]
    rows: int
    max_length: int
    seconds: float
    rows_per_second: float


def run(config: EvaluateConfig, progress: Progress = silent) -> EvaluateResult:
    """Score a checkpoint, the way train-masks scores its own.

    Args:
        config: What to do.
        progress: Called with a label, batches done and batches in all.

    Raises:
        PruneError: The checkpoint or the data cannot be used, or the head does not fit the task.
    """
    device = find_device(config.device)
    path = find_model(config.checkpoint, config.task)
    checkpoint = read_checkpoint(model_of(path))
    data = load_split(
        config.task,
        config.split,
        config.data_dir,
        config.text_columns,
        config.label_column,
        _seed_of(path) if config.seed is None else config.seed,
        config.task_kind,
    )
    data = fit_labels(data, checkpoint)
    task = data.task
    model = _load(path, checkpoint, task, config.trust_remote_code, device)
    tokenizer = load_tokenizer(checkpoint)
    trained_here = is_run(path) or (path / RECORD).is_file()
    usual = None if trained_here else task.kind.usual_length
    max_length = longest_row(checkpoint, model, tokenizer, config.max_length, usual)
    features = task.kind.features(data, tokenizer, max_length)
    started = time.perf_counter()
    metrics = _metrics(model, task, features, config.batch_size, device, progress)
    seconds = time.perf_counter() - started
    return EvaluateResult(
        checkpoint=path,
        task=task.name,
        kind=task.kind.name,
        data=data.source,
        split=config.split or task.validation,
        metric=task.metrics[0],
        metrics=metrics,
        rows=len(data.validation),
        max_length=max_length,
        seconds=seconds,
        rows_per_second=len(data.validation) / seconds,
    )


def _seed_of(path: Path) -> int:
    """Return the seed of the run that a folder is or comes from, by which rows were held out; else 0."""
    file = path / formats.FILE
    said = safetensors_masks.read(file).provenance.get("seed", "") if file.is_file() else ""
    return int(said) if said.isdecimal() else 0


def _load(
    path: Path, checkpoint: Checkpoint, task: Task, trusted: bool, device: torch.device
) -> PreTrainedModel:
    """Load the model with the task's head; that of a run folder gets its masks.

    Raises:
        UnsupportedModelError: The checkpoint has no such head: a new one would know nothing.
    """
    if not has_head(checkpoint, task):
        raise UnsupportedModelError(
            f"{checkpoint.path} holds a {checkpoint.architecture}, which has no {task.kind.head} head for task "
            f"{task.name}: a new one would only guess",
            "take a checkpoint that was fine-tuned on the task; train-masks trains a head",
        )
    model = load_with_head(checkpoint, task.kind.head, trusted, **task.kind.config(task))
    model.to(device)  # type: ignore[arg-type]  # first: gates stay where the model is when they are put on
    if is_run(path):
        encoder = encoder_of(checkpoint)
        masks = formats.read(path, encoder)
        masks.check(encoder, str(checkpoint.path))
        set_masks(put_gates(model, encoder, tuple(masks.masks)), masks)
    return model


def _metrics(
    model: PreTrainedModel,
    task: Task,
    features: Features,
    batch_size: int,
    device: torch.device,
    progress: Progress,
) -> dict[str, float]:
    """Let the Trainer of train-masks evaluate: rows go from short to long, so batches waste little."""
    with tempfile.TemporaryDirectory(prefix="prunecli-evaluate-") as folder, torch.inference_mode():
        arguments = TrainingArguments(
            output_dir=folder,
            report_to=[],
            per_device_eval_batch_size=batch_size,
            use_cpu=device.type == "cpu",
            dataloader_pin_memory=device.type == "cuda",
            disable_tqdm=True,
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)  # DataParallel's replicas would lose the masks
        trainer = MaskTrainer(
            model,
            arguments,
            eval_dataset=features.validation,
            compute_metrics=features.score,
            data_collator=features.collate,
            preprocess_logits_for_metrics=features.reduce,
            every_output=features.every_output,
            callbacks=[ReportScoring(progress)],
        )
        found = trainer.evaluate()
    return {name: found[f"eval_{name}"] for name in task.metrics}
