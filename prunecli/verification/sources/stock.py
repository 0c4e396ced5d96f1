"""A stock checkpoint, loaded by its stock class; a new pruning head is put on it where the folder has one."""

from pathlib import Path
from typing import Any

import transformers
from torch import Tensor

from prunecli.checkpoints.strict_json import read_object
from prunecli.verification.sources.base import Inputs, Written, keep_or_prune, load_weights, stock_model

HEAD = "pruning_head.classifier."


def outputs(source: Path, base: Path | None, written: Written, inputs: Inputs) -> dict[str, Tensor]:
    """Run the stock model, and the new head on its last hidden state."""
    entries = read_object(source / "config.json")
    new = {name: tensor.float() for name, tensor in written.state.items() if name.startswith(HEAD)}
    architecture = str((entries.get("architectures") or ["Model"])[0])
    suffix = architecture[architecture.index("For") :] if "For" in architecture else ""
    ranks = suffix == "ForSequenceClassification"
    wanted = "AutoModel" if new and not ranks else f"AutoModel{suffix}"
    if not hasattr(transformers, wanted):
        wanted = "AutoModel"
    model = stock_model(wanted, entries, load_weights(source, written), source)
    if suffix == "ForMultipleChoice":
        inputs = {name: tensor[:, None] for name, tensor in inputs.items()}
    found: dict[str, Any] = {k: v for k, v in model(**inputs).items() if isinstance(v, Tensor)}
    if not new:
        return found
    hidden = (model.base_model if ranks else model)(**inputs).last_hidden_state
    pruning = keep_or_prune(hidden, new[f"{HEAD}weight"], new[f"{HEAD}bias"])
    return {"logits": found["logits"], "pruning_logits": pruning} if ranks else {"logits": pruning}
