"""`convert`: other people's checkpoints in, folders that everyone can load out."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from prunecli.checkpoints import kinds
from prunecli.checkpoints.atomic import check_source, check_target, staged_folder
from prunecli.checkpoints.folder import CARD, NEW, RECORD, Checkpoint, files_in, inside, sha256
from prunecli.checkpoints.kinds.base import Model, NewTensor, Reading, peek, whole_number
from prunecli.checkpoints.kinds.masked_seq import NAME as MASKED_SEQ
from prunecli.checkpoints.kinds.masked_seq import names_of
from prunecli.checkpoints.kinds.pruning_encoder import PRUNING_ONLY
from prunecli.checkpoints.retyping import TYPES, contents, declare
from prunecli.checkpoints.safetensors_file import Declared, TensorEntry
from prunecli.checkpoints.sentence_files import SentenceFiles, read_sentence_files
from prunecli.checkpoints.shards import file_names, parse_size, write_weights
from prunecli.checkpoints.source import WANTED, find_model
from prunecli.checkpoints.strict_json import read_object, write_json
from prunecli.checkpoints.tokenizer_files import SETTINGS, write_tokenizer
from prunecli.config import ConvertConfig
from prunecli.encoders import for_config
from prunecli.errors import InputError
from prunecli.masks import MaskSet
from prunecli.masks.formats import FILE as MASKS
from prunecli.masks.formats import safetensors_masks
from prunecli.models.masked_seq_sources import check_mlm
from prunecli.models.onnx_graph import check_installed, graph_files
from prunecli.models.shipped import is_cut, shipped
from prunecli.operations.onnx_folder import KIND as ONNX
from prunecli.operations.onnx_folder import put_graph
from prunecli.reports import converted_card, run_record
from prunecli.shrink.noted_heads import as_pruned, notes_heads
from prunecli.verification import parity
from prunecli.verification.base import Finding
from prunecli.verification.conversion import prove


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What was converted, or would be.

    Attributes:
        out: The folder; None for a dry run without one.
        source: The folder that was read.
        kind: What it was recognised as.
        to: What was written.
        says: What was found in it.
        notes: What was left out or guessed.
        tensors: How many tensors are written.
        bytes: Bytes of the weights.
        files: Names of the files to write.
        findings: The checks against an independent reading of the source; empty for a dry run.
        written: Whether the folder was written: no check failed.
    """

    out: Path | None
    source: Path
    kind: str
    to: str
    says: str
    notes: tuple[str, ...]
    tensors: int
    bytes: int
    files: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    written: bool = False


class _Unequal(Exception):
    """Leaves the staged folder, which is then removed, with what the checks found."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("the folder does not equal its source")
        self.findings = findings


def run(config: ConvertConfig) -> ConvertResult:
    """Recognise and read the source; unless it is a dry run, write the folder and prove it equal.

    Raises:
        PruneError: The source is not whole or of no known kind, or the target cannot be written.
    """
    if config.out is None and not config.dry_run:
        raise InputError("convert needs a folder to write", "name it after the source, or add --dry-run")
    if config.to == ONNX:
        check_installed()
    pickles = ["*.bin"] if config.allow_pickle else []
    source = find_model(config.source, "", allow_patterns=[*WANTED, *pickles])
    if config.out is not None:
        check_target(config.out, config.overwrite)
        check_source(config.out, source)
    kind = kinds.recognise(source, config.from_)
    to = config.to or kinds.kinds()[kind].becomes
    model, masks = _in_words_of_today(source, _read(source, config, kind, to))
    declared = _declared(config, model)
    around = _around(source, model)
    result = _result(source, config, kind, to, model, declared, around)
    if config.dry_run or config.out is None:
        return result
    try:
        with staged_folder(config.out, config.overwrite) as folder:
            if masks is not None:
                safetensors_masks.write(masks, folder)
            around.write(folder)
            return _write(folder, config, model, declared, result)
    except _Unequal as unequal:
        return replace(result, findings=unequal.findings)


def _read(source: Path, config: ConvertConfig, kind: str, to: str) -> Model:
    target, read = kinds.target(to), kinds.kinds()[kind].read
    assert read is not None and target.make is not None
    names = names_of(config.id2label, config.label2id)
    reading = Reading(config.allow_pickle, config.base, config.seed, config.num_labels, config.task, names)
    model = target.make(read(source, reading), reading)
    asked = config.strict_mlm_check or names or config.num_labels or config.task
    if asked and model.config["model_type"] != MASKED_SEQ:
        raise InputError(
            f"{to} has no head for positions, which --num-labels, --task, --id2label, --label2id and "
            "--strict-mlm-check are about",
            "add --to masked-seq, or leave them out",
        )
    if config.strict_mlm_check:
        check_mlm(Checkpoint(source, model.config, {}), model.encoder["model_type"])
    return model


def _in_words_of_today(source: Path, model: Model) -> tuple[Model, MaskSet | None]:
    """Give a model whose heads transformers 4 removed the class that can say so, and its masks."""
    if not notes_heads(model.config):
        return model, None
    entries = {name: entry for name, entry in model.tensors.items() if isinstance(entry, TensorEntry)}
    written, kept, masks = as_pruned(Checkpoint(source, model.config, entries))
    note = "Heads that transformers 4 removed: the folder carries the class that has the smaller linears."
    tensors = {name: entry for name, entry in entries.items() if name in kept}
    return replace(model, config=written, tensors=tensors, notes=(*model.notes, note)), masks


def _around(source: Path, model: Model) -> SentenceFiles:
    """Return what sentence-transformers keeps around a model; it stays with all but encoders that get a pruning head.

    Raises:
        InputError: A file, or the config, names a class that is no library's own.
    """
    found = read_sentence_files(Checkpoint(source, model.config, {}))
    return SentenceFiles({}, {}) if model.config.get("mode") == PRUNING_ONLY else found


def _carried(source: Path, model: Model, to: str) -> list[Path]:
    """Return the files that stay with the weights: licenses, and what was cut out of a folder."""
    cut = (source / MASKS).is_file() and "base_model_config" not in model.config and to != ONNX
    return [*Checkpoint(source, {}, {}).carried_files, *([inside(source, MASKS)] if cut else [])]


def _dtype(config: ConvertConfig) -> str:
    """Return the type that the weights get: `keep` as they are, and float32 in a graph."""
    if config.to == ONNX and config.dtype not in ("keep", "float32"):
        raise InputError(
            f"--to onnx writes float32, and --dtype is {config.dtype}",
            "leave --dtype out, and round the graph with onnxruntime's own tools",
        )
    return "float32" if config.to == ONNX else config.dtype


def _declared(config: ConvertConfig, model: Model) -> list[Declared]:
    dtype = TYPES.get(_dtype(config))
    return [declare(name, source, dtype) for name, source in model.tensors.items()]


def _result(
    source: Path,
    config: ConvertConfig,
    kind: str,
    to: str,
    model: Model,
    declared: list[Declared],
    around: SentenceFiles,
) -> ConvertResult:
    carried = _carried(source, model, to)
    tokenizer = Checkpoint(model.tokenizer, {}, {}).tokenizer_files
    code = None if to == ONNX else shipped(Checkpoint(source, model.config, {}))
    size = sum(tensor.size for tensor in declared)
    weights = graph_files(size) if to == ONNX else file_names(declared, parse_size(config.max_shard_size))
    names = [
        "config.json",
        *weights,
        *(path.name for path in (*tokenizer, *carried)),
        *around.names,
        *([] if code is None else code.files),
        *([MASKS] if is_cut(model.config) else []),
        RECORD,
        CARD,
    ]
    return ConvertResult(
        out=config.out,
        source=source,
        kind=kind,
        to=to,
        says=model.says,
        notes=model.notes,
        tensors=len(declared),
        bytes=size,
        files=tuple(sorted(names)),
    )


def _write(
    folder: Path, config: ConvertConfig, model: Model, declared: list[Declared], result: ConvertResult
) -> ConvertResult:
    """Write everything, compare it with the source, and note what came out.

    Raises:
        _Unequal: A check failed.
    """
    code = shipped(Checkpoint(folder, model.config, {}))
    written = dict(model.config)
    if _dtype(config) != "keep":
        written["dtype"] = _dtype(config)
    new = [name for name, tensor in model.tensors.items() if isinstance(tensor, NewTensor)]
    if new:
        written[NEW] = new
    if code is not None:
        written["auto_map"] = code.auto_map
        for name, text in code.files.items():
            (folder / name).write_text(text, encoding="utf-8")
    write_json(folder / "config.json", written)
    chunks = (contents(model.tensors[tensor.name], tensor.dtype) for tensor in declared)
    digests = write_weights(folder, declared, chunks, parse_size(config.max_shard_size))
    _write_tokenizer(folder, model)
    for path in _carried(result.source, model, result.to):
        shutil.copyfile(path, folder / path.name)
    findings = prove(folder, result.source, result.kind, config)
    if result.to == ONNX and not _failed(findings):
        findings += (put_graph(folder, parity.ATOL if config.atol is None else config.atol),)
    if _failed(findings):
        raise _Unequal(findings)
    done = replace(result, findings=findings, written=True)
    record = run_record.record(config, done)
    (folder / CARD).write_text(
        converted_card.render(result.source, read_object(folder / "config.json"), record), encoding="utf-8"
    )
    record["sha256"] = {name: digests.get(name) or sha256(folder / name) for name in files_in(folder)}
    write_json(folder / RECORD, record)
    return done


def _failed(findings: tuple[Finding, ...]) -> bool:
    return any(finding.status == "fail" for finding in findings)


def _write_tokenizer(folder: Path, model: Model) -> None:
    """Copy the tokenizer; its length limit is what the model was trained with, and never more than it takes."""
    encoder = for_config(model.encoder)
    source = Checkpoint(model.tokenizer, model.encoder, {})
    positions = model.encoder.get("max_position_embeddings")
    longest = positions - encoder.model_type.position_offset if isinstance(positions, int) else None
    stated = whole_number(peek(model.tokenizer, SETTINGS).get("model_max_length"))
    lengths = [length for length in (model.max_length, longest, stated) if length is not None]
    write_tokenizer(source, encoder, folder, min(lengths, default=None))
