"""Prove a converted folder: loaded in the isolated child, compared with an independent reading of its source."""

import logging
import tempfile
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from prunecli.checkpoints import kinds
from prunecli.checkpoints.folder import Checkpoint, read_checkpoint
from prunecli.checkpoints.kinds.base import Reading, peek
from prunecli.checkpoints.kinds.pruning_encoder import RERANKING
from prunecli.checkpoints.run_folder import is_run
from prunecli.config import ConvertConfig
from prunecli.models.pruned import AUTO_CLASSES
from prunecli.models.shipped import encoder_of, head_of, is_around
from prunecli.shrink.noted_heads import notes_heads
from prunecli.verification import live, parity, static
from prunecli.verification.base import Finding
from prunecli.verification.isolated import ask_child, request_for
from prunecli.verification.sources import Written, outputs_of
from prunecli.verification.tokenizer import check_tokenizer

log = logging.getLogger(__name__)


def prove(folder: Path, source: Path, kind: str, config: ConvertConfig) -> tuple[Finding, ...]:
    """Run every check on a folder that was just written.

    Args:
        folder: The folder, before it gets its name.
        source: The folder that it was made of.
        kind: What that was recognised as.
        config: What was asked.

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
    with tempfile.TemporaryDirectory(prefix="prunecli-convert-") as name:
        place = Path(name)
        probes = place / "probes.safetensors"
        parity.write_probes(checkpoint, encoder, probes)
        log.info("Reading %s once more, with other code", source)
        reference = source_outputs(
            checkpoint, source, kind, Reading(config.allow_pickle, config.base), probes
        )
        log.info("Loading what was written in an isolated child")
        request = request_for(checkpoint, AUTO_CLASSES[head_of(checkpoint)], probes)
        answer = ask_child(request, place, config.timeout)
        findings += live.live_findings(answer, checkpoint, atol)
        if answer.outputs.is_file():
            name = parity.in_its_type(source, checkpoint)
            findings.append(parity.check_parity(reference, answer.outputs, probes, atol, name))
    return tuple(findings)


def made_of(checkpoint: Checkpoint, against: Path) -> str | None:
    """Return the kind of what a folder was converted from; None where the two can be compared as they are."""
    if is_run(against):
        return None
    kind, config = kinds.recognise(against), peek(against, "config.json")
    ours, theirs = (
        entries["model_type"] if is_around(entries) else None for entries in (checkpoint.config, config)
    )
    foreign = kinds.kinds()[kind].make is None
    return kind if foreign or ours != theirs or notes_heads(config) else None


def source_outputs(
    checkpoint: Checkpoint, source: Path, kind: str, reading: Reading, probes: Path
) -> dict[str, Tensor]:
    """Compute what a converted folder shall give, from another reading of its source.

    Args:
        checkpoint: The converted folder, for what is new in it and how its numbers were rounded.
        source: What it was made of.
        kind: The name of the source's kind.
        reading: What the user allows and adds.
        probes: The inputs.

    Raises:
        InputError: The source is not whole, or has a pickle that may not be read.
    """
    read = kinds.kinds()[kind].read
    assert read is not None
    read(source, reading)  # headers only: it says what is missing, or not allowed
    state = {name: tensor for path in checkpoint.weight_files for name, tensor in load_file(path).items()}
    written = Written(checkpoint.config, state, parity.rounded_to(checkpoint))
    found = outputs_of(kind, source, reading.base, written, load_file(probes))
    if checkpoint.config.get("mode") != RERANKING:  # of a ranking model by itself, too
        found.pop("pruning_logits", None)
    return found
