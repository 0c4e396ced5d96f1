"""`train-masks`: learn which heads and neurons matter, and fine-tune along."""

import copy
import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from torch import nn
from transformers import PreTrainedTokenizerBase, set_seed

from prunecli import __version__, demo, methods
from prunecli.calibration.layerwise import check_chain
from prunecli.checkpoints.atomic import check_source
from prunecli.checkpoints.folder import CARD, NEW, Checkpoint, read_checkpoint
from prunecli.checkpoints.run_folder import MODEL, RECORD, REPORT
from prunecli.checkpoints.safetensors_file import FLOATS
from prunecli.checkpoints.source import find_model
from prunecli.checkpoints.strict_json import write_json
from prunecli.checkpoints.tokenizer_files import write_tokenizer
from prunecli.config import TrainMasksConfig
from prunecli.encoders import check_heads
from prunecli.errors import InputError, TargetExistsError, UnsupportedModelError
from prunecli.masks import MaskSet, formats
from prunecli.masks.budget import encoder_flops
from prunecli.masks.units import mask_shape
from prunecli.methods.base import GateMethod, Method, ScoreMethod
from prunecli.models.loading import load_model, load_tokenizer
from prunecli.models.shipped import encoder_of, inner_config, is_cut, positions_of
from prunecli.progress import Progress, silent
from prunecli.reports import html, run_record
from prunecli.tasks import TaskData, load_task
from prunecli.training.arguments import check_options, steps_an_epoch
from prunecli.training.calibration_rows import check_rows
from prunecli.training.gates import weights_only
from prunecli.training.head import fit_labels, fit_task, has_head
from prunecli.training.learning import learn
from prunecli.training.outcome import TrainMasksPlan, TrainMasksResult, check_outcome, finished, outcome
from prunecli.training.recovery import recover
from prunecli.training.resuming import check_run_target, finish, is_finished, work_folder
from prunecli.training.scoring import prune_by_scores, prune_to_drop
from prunecli.training.session import Session, check_new_head, open_session, row_length
from prunecli.training.target import target_of

log = logging.getLogger(__name__)

TORCH_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def plan(config: TrainMasksConfig) -> TrainMasksPlan:
    """Check model, data and target, and say what `run` would do; no model is loaded, nothing is written.

    Raises:
        PruneError: The model, data or output folder cannot be used.
    """
    method = methods.get(config.method_name)
    check_options(config, method)
    check_run_target(config)
    checkpoint, data = read_inputs(config, [method])
    encoder = encoder_of(checkpoint)
    if encoder.sharing:
        log.info(encoder.sharing)
    new_head = not has_head(checkpoint, data.task) or bool(checkpoint.config.get(NEW))
    if new_head:
        check_new_head(config, data.task)
    tokenizer = load_tokenizer(checkpoint)
    tokens = row_length(config.max_length, data.task, positions_of(checkpoint), tokenizer)
    examples = _examples(data, tokenizer, tokens)
    epoch = steps_an_epoch(config, examples[0])
    steps = 0 if isinstance(method, ScoreMethod) else config.max_steps or epoch * config.num_epochs
    return TrainMasksPlan(
        out=config.out_folder,
        stands=_stands(config),
        model=checkpoint.path,
        task=data.task.name,
        kind=data.task.kind.name,
        method=config.method_name,
        target=config.target_option,
        data=data.source,
        rows=(len(data.train), len(data.validation)),
        examples=examples,
        new_head=new_head,
        units={group: mask_shape(encoder, group)[1] for group in config.groups},
        layers=encoder.layers,
        steps=(steps + epoch * config.recovery) * (len(config.shares) if config.sweep else 1),
        tokens=tokens,
        flops=encoder_flops(encoder, MaskSet({}), tokens),
    )


def _stands(config: TrainMasksConfig) -> bool:
    """Say whether the run would be refused for what stands where it goes."""
    try:
        check_run_target(replace(config, dry_run=False))
    except TargetExistsError:
        return True
    return False


def _examples(data: TaskData, tokenizer: PreTrainedTokenizerBase, tokens: int) -> tuple[int, int]:
    """Return how many training and validation examples the rows become."""
    kind = data.task.kind
    if not kind.windows:
        return len(data.train), len(data.validation)
    log.info("Counting windows ...")
    features = kind.features(data, tokenizer, tokens)
    return len(features.train), len(features.validation)


def run(config: TrainMasksConfig, progress: Progress = silent) -> TrainMasksResult:
    """Learn masks and write the run folder.

    Args:
        config: What to do.
        progress: Called with a label, steps done and steps in all.

    Raises:
        PruneError: The model, data or output folder cannot be used; nothing was written.
    """
    if is_finished(config):
        log.warning("%s is already complete", config.out_folder)
        return finished(config.out_folder)
    method = methods.get(config.method_name)
    check_options(config, method)
    check_run_target(config)
    checkpoint, data = read_inputs(config, [method])
    set_seed(config.seed)
    session = open_session(config, checkpoint, data, progress)
    check_rows(session, [method])
    loaded, target = session.loaded, target_of(session)
    with work_folder(config) as (work, last):
        dense = None if loaded.new else session.evaluate(loaded.model)
        stock = copy.deepcopy(loaded.model) if config.recovery else None
        trained = stock is not None or isinstance(method, GateMethod)
        teacher = teacher_of(session) if trained else None
        started = time.perf_counter()
        if isinstance(method, ScoreMethod):
            assert target is not None
            if config.max_drop is not None and dense is not None:
                learned, target = prune_to_drop(session, method, target, dense)
            else:
                learned = prune_by_scores(session, method, target)
        else:
            learned = learn(session, method, target, teacher, last)
        learned.seconds = time.perf_counter() - started
        if stock is not None:
            learned = recover(session, learned, stock, teacher)
        check_outcome(config, loaded, learned.masks)
        result = outcome(session, learned, target, dense)
        if session.arguments.process_index == 0:
            fill_run(session, work, learned.masks, result)
            finish(work, config.out_folder)
        PartialState().wait_for_everyone()
    return result


def read_inputs(config: TrainMasksConfig, chosen: Iterable[Method]) -> tuple[Checkpoint, TaskData]:
    """Find checkpoint and data of a run, the task's labels in the order of the checkpoint's head.

    Args:
        config: What to do.
        chosen: The methods that it is done with.

    Raises:
        PruneError: One of them cannot be used.
    """
    checkpoint = read_checkpoint(find_model(config.model, config.task))
    check_source(config.out_folder, checkpoint.path)
    if is_cut(checkpoint.config):
        raise UnsupportedModelError(
            f"{checkpoint.path} is already cut",
            "learn masks on the dense checkpoint: a run folder keeps it in model/",
        )
    if checkpoint.config.get("pruned_heads"):
        raise UnsupportedModelError(
            f"{checkpoint.path} was pruned with transformers 4 (pruned_heads in config.json)",
            "learn masks on the dense checkpoint",
        )
    encoder = encoder_of(checkpoint)
    check_heads(encoder, inner_config(checkpoint.config))
    scored = any(isinstance(method, ScoreMethod) for method in chosen)
    if scored and not config.keep_weights and not config.keeps_everything:
        check_chain(encoder)
    data = load_task(
        config.task,
        config.data_dir,
        config.text_columns,
        config.label_column,
        config.max_train_samples,
        config.seed,
        config.task_kind,
    )
    for place in (config.task if data.task.is_own else None, config.data_dir, config.teacher):
        if place is not None and Path(place).exists():
            check_source(config.out_folder, Path(place))
    return checkpoint, fit_labels(data, checkpoint)


def teacher_of(session: Session) -> nn.Module | None:
    """Return what to learn from besides the labels: the dense model, another checkpoint, or nothing."""
    config = session.config
    if config.distill == "always" and config.teacher is None and session.loaded.new:
        raise InputError(
            f"{config.model} has a new head, which has nothing to teach",
            "name a --teacher, or leave --distill at auto",
        )
    if config.teacher is not None:
        checkpoint = read_checkpoint(find_model(config.teacher, config.task))
        its = fit_task(replace(session.task, order=()), checkpoint)
        loaded = load_model(checkpoint, its.kind.head, **its.kind.config(its))
        same_labels = its.ordered_labels == session.task.ordered_labels
        same_words = loaded.model.config.vocab_size == session.loaded.model.config.vocab_size
        if loaded.new or not (same_labels and same_words):
            raise InputError(
                f"--teacher {config.teacher} has not the same labels, in the same order, and vocabulary as the model",
                "take a checkpoint that was fine-tuned on the task",
            )
        return loaded.model
    wanted = config.under_target or config.recovery > 0
    if config.distill == "never" or (config.distill == "auto" and (session.loaded.new or not wanted)):
        if config.replace_tokens and session.loaded.new:
            raise InputError(
                f"--replace-tokens has no effect: {config.model} has a new head, which has nothing to teach",
                "name a --teacher",
            )
        return None
    return copy.deepcopy(session.loaded.model)


def _provenance(config: TrainMasksConfig) -> dict[str, str]:
    asked = {"model": config.model, "task": config.task, "method": config.method_name, "seed": config.seed}
    return {"format": "pt", "prunecli": __version__, **{name: str(value) for name, value in asked.items()}}


def fill_run(session: Session, folder: Path, masks: MaskSet, result: TrainMasksResult) -> None:
    """Fill a folder with a run's files."""
    config, checkpoint, loaded, model = (
        session.config,
        session.checkpoint,
        session.loaded,
        session.loaded.model,
    )
    formats.write(replace(masks, provenance=_provenance(config)), loaded.encoder, folder)
    stored = {entry.dtype for entry in checkpoint.tensors.values() if entry.dtype in FLOATS}
    if _weights_stood(config, result) and not loaded.new and len(stored) == 1:  # keep their type, exactly
        model = copy.deepcopy(model)
        nn.Module.to(model, torch.device("cpu"), TORCH_TYPES[stored.pop()])
    elif stored <= {"F16", "BF16"} and checkpoint.path != demo.MODEL:  # nobody ships the bundled one
        narrow = str(TORCH_TYPES[min(stored)]).removeprefix("torch.")
        log.info("the weights are float32 now, %s has %s: `prunecli convert PRUNED OUT --dtype %s` rounds what is cut",
            checkpoint.path, narrow, narrow)  # fmt: skip
    model.save_pretrained(folder / MODEL, state_dict=weights_only(model.state_dict()))
    write_tokenizer(checkpoint, loaded.encoder, folder / MODEL, session.max_length)
    for path in (*checkpoint.carried_files, checkpoint.path / CARD):
        if path.is_file():
            shutil.copyfile(path, folder / MODEL / path.name)
    written = run_record.record(config, result)
    (folder / REPORT).write_text(html.training_page(written), encoding="utf-8")
    write_json(folder / RECORD, written)  # last: it says that the run is whole


def _weights_stood(config: TrainMasksConfig, result: TrainMasksResult) -> bool:
    """Say whether no weight was trained or refitted."""
    trained = result.steps > 0 and not (config.freeze and config.recovery == 0)
    return not trained and result.refit is None
