"""Checkpoints that transformers 4 took heads out of: the tensors are cut, config.json only notes which heads went."""

from collections.abc import Mapping
from typing import Any

from prunecli.checkpoints.folder import Checkpoint
from prunecli.encoders import Encoder
from prunecli.masks import MaskSet
from prunecli.models import pruned
from prunecli.shrink.already import already_cut
from prunecli.shrink.plan import plan_cut


def notes_heads(config: Mapping[str, Any]) -> bool:
    """Say whether a config notes heads as transformers 4 did; transformers 5 does not load such a folder."""
    return bool(config.get("pruned_heads"))


def as_pruned(checkpoint: Checkpoint) -> tuple[dict[str, Any], frozenset[str], MaskSet]:
    """Say in a pruned folder's words what is cut already.

    Args:
        checkpoint: A stock checkpoint whose config notes heads.

    Returns:
        The config of the shipped class, the tensors that it has, and the masks of what went.

    Raises:
        InputError: The tensors are not cut as config.json says.
        MaskError: The noted heads do not exist.
    """
    encoder: Encoder = pruned.encoder_of(checkpoint)
    already = already_cut(checkpoint, encoder)
    already.check(encoder, str(checkpoint.path))
    plan = plan_cut(checkpoint, encoder, MaskSet({}), already)
    head = pruned.head_of(checkpoint.architecture, encoder)
    config = pruned.shipped_config(checkpoint.config, encoder, head, plan.changes)
    return config, frozenset(cut.entry.name for cut in plan.cuts), already
