"""Prove a converted folder: loaded in the isolated child, compared with an independent reading of its source."""

import logging
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.config import ConvertConfig
from prunecli.models.pruned import AUTO_CLASSES
from prunecli.models.shipped import encoder_of, head_of
from prunecli.verification import live, parity, static
from prunecli.verification.base import Finding
from prunecli.verification.isolated import ask_child, request_for
from prunecli.verification.sources import Written, outputs_of
from prunecli.verification.tokenizer import check_tokenizer

log = logging.getLogger(__name__)


def prove(folder: Path, config: ConvertConfig, kind: str) -> tuple[Finding, ...]:
    """Run every check on a folder that was just written.

    Args:
        folder: The folder, before it gets its name.
        config: What was asked.
        kind: What the source was recognised as.

    Raises:
        InputError: The source is not whole.
        PruneError: The child gave no answer.
    """
    checkpoint = read_checkpoint(folder)
    encoder = encoder_of(checkpoint)
    atol = parity.ATOL if config.atol is None else config.atol
    findings = [
        static.check_files(checkpoint),
        static.check_config(checkpoint, encoder),
        static.check_auto_map(checkpoint),
        check_tokenizer(checkpoint),
    ]
    state = {name: tensor for path in checkpoint.weight_files for name, tensor in load_file(path).items()}
    written = Written(
        checkpoint.config, state, None if config.dtype == "keep" else getattr(torch, config.dtype)
    )
    with tempfile.TemporaryDirectory(prefix="prunecli-convert-") as name:
        place = Path(name)
        probes = place / "probes.safetensors"
        parity.write_probes(checkpoint, encoder, probes)
        log.info("Reading %s once more, with other code", config.source)
        reference = outputs_of(kind, config.source, config.base, written, load_file(probes))
        log.info("Loading what was written in an isolated child")
        request = request_for(checkpoint, AUTO_CLASSES[head_of(checkpoint)], probes)
        answer = ask_child(request, place, config.timeout)
        findings += live.live_findings(answer, checkpoint, atol)
        if answer.outputs.is_file():
            wanted = {name: reference[name] for name in load_file(answer.outputs) if name in reference}
            findings.append(parity.check_parity(wanted, answer.outputs, probes, atol, str(config.source)))
    return tuple(findings)
