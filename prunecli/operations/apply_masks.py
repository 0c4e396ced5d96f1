"""`apply-masks`: cut the masked units out of a checkpoint, and words that no text uses. No model is built.

torch is not needed, but for the tokenizer that splits the texts of `--prune-vocab`.
"""

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from prunecli.checkpoints.atomic import check_source, check_target, staged_folder
from prunecli.checkpoints.folder import (
    CARD,
    KEPT_TOKENS,
    RECORD,
    Checkpoint,
    files_in,
    read_checkpoint,
    sha256,
)
from prunecli.checkpoints.run_folder import is_run, model_of, read_record, read_result
from prunecli.checkpoints.sentence_files import SentenceFiles, read_sentence_files
from prunecli.checkpoints.shards import file_names, parse_size, write_weights
from prunecli.checkpoints.source import find_folder
from prunecli.checkpoints.strict_json import write_json
from prunecli.checkpoints.tokenizer_files import file_names as tokenizer_names
from prunecli.checkpoints.tokenizer_files import write_tokenizer, write_with_fewer_tokens
from prunecli.config import ApplyMasksConfig
from prunecli.encoders import Encoder, check_heads
from prunecli.errors import InputError, MaskError
from prunecli.masks import MaskSet, formats
from prunecli.masks.budget import encoder_flops, layer_shapes
from prunecli.masks.formats import FILE as MASKS
from prunecli.masks.formats import safetensors_masks
from prunecli.models.shipped import (
    cut_config,
    encoder_of,
    head_of,
    inner_config,
    is_around,
    is_cut,
    positions_of,
    shipped,
)
from prunecli.reports import model_card, run_record
from prunecli.shrink.already import already_cut
from prunecli.shrink.plan import CutPlan, plan_cut
from prunecli.shrink.slicing import cut_tensors
from prunecli.shrink.vocabulary import Vocabulary, rows_of

log = logging.getLogger(__name__)

AROUND_REASON = "a model around an encoder has a class of its own"
TOKENS = 128  # length at which FLOPs are counted where no run says how long its examples are, or what the model takes


@dataclass(frozen=True, slots=True)
class ApplyMasksResult:
    """What was cut, or would be.

    Attributes:
        out: The folder; None for a dry run without `--out`.
        source: The checkpoint that was cut.
        native: Whether a stock config says it all, so that no remote code is needed.
        reason: Why not.
        layers: Layers with weights of their own, before and after.
        hidden: Dimensions of the residual stream, before and after.
        heads: Heads that are left, by layer.
        neurons: Intermediate neurons that are left, by layer.
        vocabulary: Tokens that the model knows, before and after; None where all stay.
        tokens: Length at which FLOPs are counted.
        flops: Encoder FLOPs of one example, before and after.
        parameters: Parameters of the checkpoint, before and after.
        bytes: Bytes of the weights, before and after.
        files: Names of the files to write.
        written: Whether the folder was written.
    """

    out: Path | None
    source: Path
    native: bool
    reason: str
    layers: tuple[int, int]
    hidden: tuple[int, int]
    heads: list[int]
    neurons: list[int]
    vocabulary: tuple[int, int] | None
    tokens: int
    flops: tuple[int, int]
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    files: tuple[str, ...]
    written: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut that is planned to the last byte.

    Attributes:
        config: What was asked.
        checkpoint: What is cut.
        encoder: Its table and sizes.
        already: What it has lost before.
        total: What it will have lost.
        plan: What of each tensor stays.
        after: The checkpoint with the config of what is left.
        around: Files of sentence-transformers that go along.
    """

    config: ApplyMasksConfig
    checkpoint: Checkpoint
    encoder: Encoder
    already: MaskSet
    total: MaskSet
    plan: CutPlan
    after: Checkpoint
    around: SentenceFiles


def run(config: ApplyMasksConfig) -> ApplyMasksResult:
    """Plan the cut and, unless it is a dry run, write the pruned folder.

    Raises:
        PruneError: Source, masks or target cannot be used; nothing was written.
    """
    if config.out is None and not config.dry_run:
        raise InputError("apply-masks needs a folder to write", "add --out DIR, or --dry-run to see the plan")
    config = replace(config, source=find_folder(config.source))
    checkpoint = read_checkpoint(model_of(config.source))
    encoder = encoder_of(checkpoint)
    check_heads(encoder, inner_config(checkpoint.config))
    head_of(checkpoint)
    already = already_cut(checkpoint, encoder)
    masks = _masks(config, checkpoint, encoder, already)
    total = masks.after(already)
    total.check(encoder, str(checkpoint.path))
    if config.out is not None:  # last of what may be wrong with the line, and before texts are read
        check_target(config.out, config.overwrite)
        check_source(config.out, config.source)
    plan = plan_cut(checkpoint, encoder, masks, already, _vocabulary(config, checkpoint, encoder))
    after = _after(config, checkpoint, encoder, plan)
    plan = plan if is_cut(after.config) else plan.as_native()
    if encoder.sharing:
        log.info(encoder.sharing)
    around = read_sentence_files(checkpoint)
    cut = Cut(config, checkpoint, encoder, already, total, plan, after, around)
    result = _result(cut)
    if not config.dry_run and config.out is not None:
        with staged_folder(config.out, config.overwrite) as folder:
            _write(folder, cut, result)
    return result


def _masks(config: ApplyMasksConfig, checkpoint: Checkpoint, encoder: Encoder, already: MaskSet) -> MaskSet:
    if config.masks is None and not is_run(config.source):
        if config.prune_vocab:
            return MaskSet({})
        if is_run(config.source.parent):
            raise InputError(f"{config.source} is in a run folder", f"did you mean {config.source.parent}?")
        if already.masks:
            raise InputError(
                f"{config.source} is already cut", "--masks PATH or --prune-vocab CORPUS cut more of it"
            )
        raise InputError(
            f"{config.source} is a checkpoint, not a run folder of train-masks",
            "run train-masks on it first, or say which masks with --masks PATH, or which texts it shall read with "
            "--prune-vocab CORPUS",
        )
    masks = formats.read(config.masks or config.source, encoder, config.mask_convention)
    masks.check(encoder, str(checkpoint.path))
    return masks.rounded(encoder, config.multiples, already)


def _vocabulary(config: ApplyMasksConfig, checkpoint: Checkpoint, encoder: Encoder) -> Vocabulary | None:
    """Return which words stay, where not all do."""
    if not config.prune_vocab:
        return None
    log.info("Loading transformers for the tokenizer ...")
    from prunecli.inference.corpus import vocabulary_for

    return vocabulary_for(checkpoint, encoder, config.prune_vocab, config.fields)


def _after(config: ApplyMasksConfig, checkpoint: Checkpoint, encoder: Encoder, plan: CutPlan) -> Checkpoint:
    """Return the checkpoint with the config of what is left of it."""
    reason = AROUND_REASON if is_around(checkpoint.config) else plan.native_reason
    if config.native == "always" and reason:
        raise MaskError(
            f"a stock config cannot say this cut: {reason}",
            "leave --native at auto: the shipped class loads with trust_remote_code=True",
        )
    native = None if config.native == "never" else plan.native
    changes = plan.changes if native is None else native
    return replace(checkpoint, config=cut_config(checkpoint, encoder, changes, native is not None))


def _result(cut: Cut) -> ApplyMasksResult:
    config, checkpoint, encoder, plan = cut.config, cut.checkpoint, cut.encoder, cut.plan
    code, layers = shipped(cut.after), layer_shapes(encoder, cut.total)
    own = AROUND_REASON if is_around(cut.after.config) else plan.native_reason
    usual = min(TOKENS, positions_of(checkpoint))
    tokens = read_result(config.source).get("tokens", usual) if is_run(config.source) else usual
    names = [
        "config.json",
        *file_names(plan.declared, parse_size(config.max_shard_size)),
        RECORD,
        CARD,
        *([MASKS] if cut.total.masks else []),
        *tokenizer_names(checkpoint, fewer=plan.vocabulary is not None),
        *([KEPT_TOKENS] if plan.vocabulary is not None else []),
        *(path.name for path in checkpoint.carried_files),
        *cut.around.names,
        *([] if code is None else code.files),
    ]
    return ApplyMasksResult(
        out=config.out,
        source=checkpoint.path,
        native=code is None,
        reason="" if code is None else own or "--native never asked for it",
        layers=(_layers(encoder, cut.already), _layers(encoder, cut.total)),
        hidden=(_hidden(encoder, cut.already), _hidden(encoder, cut.total)),
        heads=[layer.heads for layer in layers],
        neurons=[layer.neurons for layer in layers],
        vocabulary=None if plan.vocabulary is None else (rows_of(checkpoint), len(plan.vocabulary.kept)),
        tokens=tokens,
        flops=(encoder_flops(encoder, cut.already, tokens), encoder_flops(encoder, cut.total, tokens)),
        parameters=plan.parameters,
        bytes=(
            sum(entry.size for entry in checkpoint.tensors.values()),
            sum(tensor.size for tensor in plan.declared),
        ),
        files=tuple(sorted(set(names))),
        written=not config.dry_run,
    )


def _layers(encoder: Encoder, masks: MaskSet) -> int:
    return sum(masks.has_layer(layer) for layer in range(encoder.layers))


def _hidden(encoder: Encoder, masks: MaskSet) -> int:
    return len(masks.kept("hidden", 0, encoder)) if masks.narrows() else encoder.hidden


def _write(folder: Path, cut: Cut, result: ApplyMasksResult) -> None:
    config, checkpoint, encoder, plan, code = (
        cut.config,
        cut.checkpoint,
        cut.encoder,
        cut.plan,
        shipped(cut.after),
    )
    for name, text in ({} if code is None else code.files).items():
        (folder / name).write_text(text, encoding="utf-8")
    auto_map = {} if code is None else {"auto_map": code.auto_map}
    write_json(folder / "config.json", {**cut.after.config, **auto_map})
    limit = parse_size(config.max_shard_size)
    digests = write_weights(folder, plan.declared, cut_tensors(plan), limit)
    if cut.total.masks:
        safetensors_masks.write(cut.total, folder)
    cut.around.write(folder)
    for path in checkpoint.carried_files:
        shutil.copyfile(path, folder / path.name)
    if plan.vocabulary is None:
        write_tokenizer(checkpoint, encoder, folder)
    else:
        plan.vocabulary.numbering.write(folder)
        write_with_fewer_tokens(
            checkpoint, encoder, folder, plan.vocabulary.tokenizer, plan.vocabulary.new_ids
        )
    record = run_record.record(config, result)
    run = read_record(config.source) if is_run(config.source) else None
    card = model_card.render(checkpoint, encoder, layer_shapes(encoder, cut.total), record, run)
    (folder / CARD).write_text(card, encoding="utf-8")
    record["sha256"] = {name: digests.get(name) or sha256(folder / name) for name in files_in(folder)}
    write_json(folder / RECORD, record)
