"""`verify-automodel`: prove that a folder loads with AutoModel and equals what was trained."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from prunecli.checkpoints.folder import KEPT_TOKENS, Checkpoint, read_checkpoint, read_config
from prunecli.checkpoints.kinds.base import Reading
from prunecli.checkpoints.run_folder import is_run
from prunecli.checkpoints.source import find_folder
from prunecli.config import VerifyConfig
from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.inference.runnable import check_is_cut
from prunecli.masks import formats
from prunecli.models.pruned import AUTO_CLASSES
from prunecli.models.shipped import encoder_of, head_of, is_cut, is_ours
from prunecli.verification import live, parity, static
from prunecli.verification.base import Finding
from prunecli.verification.conversion import made_of, source_outputs
from prunecli.verification.isolated import ask_child, request_for
from prunecli.verification.tokenizer import check_tokenizer
from prunecli.verification.vocabulary import check_vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The verdict.

    Attributes:
        checkpoint: The folder.
        passed: Whether no check failed.
        findings: One entry a check.
        hint: What else to compare with, where a cut model was compared with the whole one; None otherwise.
    """

    checkpoint: Path
    passed: bool
    findings: tuple[Finding, ...]
    hint: str | None


def run(config: VerifyConfig) -> VerifyResult:
    """Run every check; nothing is written into the folder.

    Raises:
        PruneError: The folder is no checkpoint, its code is not trusted, or the reference cannot be used.
    """
    folder = find_folder(config.checkpoint)
    check_is_cut(folder)
    checkpoint = read_checkpoint(folder)
    against = None if config.against is None else find_folder(config.against)
    if config.masks is not None and against is not None and made_of(checkpoint, against) is not None:
        raise InputError(
            f"{against} is what {checkpoint.path} was converted from: masks cannot gate it",
            "leave --masks out, or compare with a run folder or a dense checkpoint",
        )
    encoder = encoder_of(checkpoint)
    ours = is_ours(checkpoint)
    if "auto_map" in checkpoint.config and not ours and not config.trust_remote_code:
        raise InputError(
            f"{checkpoint.path} carries Python that prunecli did not write",
            "read it, then add --trust-remote-code to run it in the isolated child",
        )
    findings = [
        static.check_files(checkpoint),
        static.check_manifest(checkpoint),
        static.check_config(checkpoint, encoder),
        static.check_auto_map(checkpoint),
        static.check_code(checkpoint, ours),
        check_tokenizer(checkpoint),
    ]
    if (checkpoint.path / KEPT_TOKENS).is_file():
        findings.append(check_vocabulary(checkpoint, encoder, against))
    findings += _live(config, checkpoint, encoder, against)
    failed = {finding.check for finding in findings if finding.status == "fail"}
    hint = _hint(config, checkpoint, against) if "parity" in failed else None
    return VerifyResult(checkpoint.path, not failed, tuple(findings), hint)


def _hint(config: VerifyConfig, checkpoint: Checkpoint, against: Path | None) -> str | None:
    """Say what a cut model has to be compared with, where it was compared with a dense one as it stands."""
    own = checkpoint.path / formats.FILE
    if against is None or config.masks is not None or not own.is_file():
        return None
    if is_run(against):
        return f"if it was cut to other widths or with other masks than the run's: --masks {own} compares it with those"
    if is_cut(read_config(against).config):
        return None
    return (
        f"{against} has all its units; --masks {own} gates it first. Where weights were trained along, name the run "
        f"folder with --against instead"
    )


def _live(
    config: VerifyConfig, checkpoint: Checkpoint, encoder: Encoder, against: Path | None
) -> list[Finding]:
    """Load the folder in the child, and compare with the reference."""
    with tempfile.TemporaryDirectory(prefix="prunecli-verify-") as name:
        folder = Path(name)
        probes = folder / "probes.safetensors"
        parity.write_probes(checkpoint, encoder, probes)
        reference, real = None, False
        if against is not None:
            log.info("Computing the reference %s", against)
            kind = made_of(checkpoint, against)
            if kind is not None:
                reading = Reading(config.allow_pickle, config.base)
                reference = source_outputs(checkpoint, against, kind, reading, probes)
            else:
                reference, real = parity.reference_outputs(
                    against, config.masks, probes, config.mask_convention, checkpoint
                )
        log.info("Loading %s in an isolated child", checkpoint.path)
        request = request_for(checkpoint, AUTO_CLASSES[head_of(checkpoint)], probes)
        answer = ask_child(request, folder, config.timeout)
        findings = live.live_findings(answer, checkpoint, parity.ATOL if config.atol is None else config.atol)
        if reference is None or against is None:
            return [*findings, Finding("parity", "skip", "no reference: add --against RUN_OR_CHECKPOINT")]
        if not answer.outputs.is_file():
            return [*findings, Finding("parity", "skip", f"the child failed at {answer.stage}")]
        atol = parity.tolerance(checkpoint, real) if config.atol is None else config.atol
        name = parity.in_its_type(against, checkpoint)
        return [*findings, parity.check_parity(reference, answer.outputs, probes, atol, name)]
