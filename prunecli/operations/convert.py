"""`convert`: other people's checkpoints in, folders that everyone can load out."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from prunecli.checkpoints import kinds
from prunecli.checkpoints.atomic import check_source, check_target, staged_folder
from prunecli.checkpoints.folder import CARD, RECORD, Checkpoint, files_in, sha256
from prunecli.checkpoints.kinds.base import Model, Reading
from prunecli.checkpoints.kinds.masked_seq import NAME as MASKED_SEQ
from prunecli.checkpoints.kinds.masked_seq import names_of
from prunecli.checkpoints.shards import parse_size
from prunecli.checkpoints.source import WANTED, find_model
from prunecli.checkpoints.strict_json import read_object, write_json
from prunecli.config import ConvertConfig
from prunecli.errors import InputError, PruneError
from prunecli.models.masked_seq_sources import check_mlm
from prunecli.models.onnx_graph import check_installed
from prunecli.operations.converted_folder import Plan, plan_folder, write_folder
from prunecli.operations.onnx_folder import KIND as ONNX
from prunecli.operations.onnx_folder import put_graph
from prunecli.reports import converted_card, run_record
from prunecli.verification import parity
from prunecli.verification.base import Finding
from prunecli.verification.conversion import prove

log = logging.getLogger(__name__)


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
        new_parameters: Parameters of a new head, which has to be trained.
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
    new_parameters: tuple[str, ...]
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
    dtype = _dtype(config)
    if config.out is not None:  # before the source is fetched
        check_target(config.out, config.overwrite)
    pickles = ["*.bin"] if config.allow_pickle else []
    source = find_model(config.source, "", allow_patterns=[*WANTED, *pickles])
    kind = kinds.recognise(source, config.from_)
    to = config.to or kinds.kinds()[kind].becomes
    model = _read(source, config, kind, to)
    plan = plan_folder(source, model, to == ONNX, dtype, parse_size(config.max_shard_size))
    if config.out is not None:
        check_source(config.out, source)
    log.info("%s is %s (%s); it becomes %s", source, plan.model.says, kind, to)
    for note in plan.model.notes:
        log.info(note)
    result = ConvertResult(
        out=config.out,
        source=source,
        kind=kind,
        to=to,
        says=plan.model.says,
        notes=plan.model.notes,
        new_parameters=tuple(plan.new_parameters),
        tensors=len(plan.declared),
        bytes=plan.bytes,
        files=plan.files,
    )
    if config.dry_run or config.out is None:
        return result
    try:
        with staged_folder(config.out, config.overwrite) as folder:
            return _write(folder, config, plan, result)
    except _Unequal as unequal:
        return replace(result, findings=unequal.findings)


def _dtype(config: ConvertConfig) -> str | None:
    """Return the type that the weights get: None as they are, and float32 in a graph.

    Raises:
        InputError: A graph is asked for without the packages that write one.
    """
    if config.to != ONNX:
        return None if config.dtype == "keep" else config.dtype
    check_installed()
    return "float32"


def _read(source: Path, config: ConvertConfig, kind: str, to: str) -> Model:
    target, read = kinds.target(to), kinds.kinds()[kind].read
    assert read is not None and target.make is not None
    names = names_of(config.id2label, config.label2id)
    reading = Reading(config.allow_pickle, config.base, config.seed, config.num_labels, config.task, names)
    try:
        found = read(source, reading)
    except PruneError as error:  # some are of a config that does not know where it stands
        named = str(source) in error.message
        raise error if named else type(error)(f"{source}: {error.message}", error.fix) from None
    model = target.make(found, reading)
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


def _write(folder: Path, config: ConvertConfig, plan: Plan, result: ConvertResult) -> ConvertResult:
    """Write everything, compare it with the source, and note what came out.

    Raises:
        _Unequal: A check failed.
    """
    digests = write_folder(plan, folder)
    findings = prove(folder, plan.source, result.kind, config)
    if plan.graph and not _failed(findings):
        findings += (put_graph(folder, parity.ATOL if config.atol is None else config.atol),)
    if _failed(findings):
        raise _Unequal(findings)
    done = replace(result, findings=findings, written=True)
    record = run_record.record(config, done)
    card = converted_card.render(plan.source, read_object(folder / "config.json"), record)
    (folder / CARD).write_text(card, encoding="utf-8")
    record["sha256"] = {name: digests.get(name) or sha256(folder / name) for name in files_in(folder)}
    write_json(folder / RECORD, record)
    return done


def _failed(findings: tuple[Finding, ...]) -> bool:
    return any(finding.status == "fail" for finding in findings)
