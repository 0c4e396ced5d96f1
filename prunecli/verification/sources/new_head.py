"""A head that the source does not have: taken from the written folder, and run on the source's encoder."""

from typing import Any

from torch import Tensor

from prunecli.verification.sources.base import Inputs, Written, keep_or_prune
from prunecli.verification.sources.masked_seq import positions

MASKED_SEQ, PRUNING_ENCODER = "masked_seq", "pruning_encoder"
PRUNING = "pruning_head.classifier."


def has_new_head(written: Written) -> bool:
    """Say whether a folder made of a stock or a cut checkpoint has a head that this one does not have."""
    return written.config["model_type"] in (MASKED_SEQ, PRUNING_ENCODER)


def with_new_head(
    encoder: Any, inputs: Inputs, written: Written, found: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Run the bare encoder and the new head on its last hidden state.

    Args:
        encoder: The encoder, without the heads that it may have.
        inputs: Token ids, masks, segments.
        written: The folder with the new head.
        found: What the whole source gives on these inputs; the written folder has it, too, where it ranks.
    """
    hidden_BTH = encoder(**inputs).last_hidden_state
    state = {name: tensor.float() for name, tensor in written.state.items()}
    if written.config["model_type"] == MASKED_SEQ:
        return {"logits": positions(hidden_BTH, state)}
    pruning = keep_or_prune(hidden_BTH, state[f"{PRUNING}weight"], state[f"{PRUNING}bias"])
    if written.config["mode"] == "reranking_pruning":
        return {"logits": found["logits"], "pruning_logits": pruning}
    return {"logits": pruning}
