"""A stock checkpoint, loaded by its stock class; a new head is put on it where the folder has one."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from prunecli.checkpoints.strict_json import read_object
from prunecli.verification.sources.base import (
    Inputs,
    State,
    Written,
    keep_or_prune,
    load_weights,
    stock_model,
    with_choices,
)
from prunecli.verification.sources.masked_seq import positions

HEAD = "pruning_head.classifier."


def outputs(source: Path, base: Path | None, written: Written, inputs: Inputs) -> dict[str, Tensor]:
    """Run the stock model, and the new head on its last hidden state."""
    entries = read_object(source / "config.json")
    if written.config["model_type"] == "masked_seq":
        encoder = stock_model("AutoModel", entries, load_weights(source, written), source)
        head = {name: tensor.float() for name, tensor in written.state.items() if name.startswith("head.")}
        return {"logits": positions(encoder(**inputs).last_hidden_state, head)}
    new = {name: tensor.float() for name, tensor in written.state.items() if name.startswith(HEAD)}
    architecture = str((entries.get("architectures") or ["Model"])[0])
    suffix = architecture[architecture.index("For") :] if "For" in architecture else ""
    ranks = suffix == "ForSequenceClassification"
    wanted = "AutoModel" if new and not ranks else f"AutoModel{suffix}"
    if not hasattr(transformers, wanted):
        wanted = "AutoModel"
    state = load_weights(source, written)
    if "pruned_heads" in entries:
        state = _whole(entries, state)
    model = stock_model(wanted, {**entries, "pruned_heads": {}}, state, source)
    if suffix == "ForMultipleChoice":
        inputs = with_choices(inputs)
    found: dict[str, Any] = {k: v for k, v in model(**inputs).items() if isinstance(v, Tensor)}
    if not new:
        return found
    hidden = (model.base_model if ranks else model)(**inputs).last_hidden_state
    pruning = keep_or_prune(hidden, new[f"{HEAD}weight"], new[f"{HEAD}bias"])
    return {"logits": found["logits"], "pruning_logits": pruning} if ranks else {"logits": pruning}


def _whole(entries: dict[str, Any], state: State) -> State:
    """Put zeros where heads were removed: a head of zeros adds nothing, as one that is gone."""
    size, heads = entries["hidden_size"] // entries["num_attention_heads"], entries["num_attention_heads"]
    whole = dict(state)
    for layer, gone in entries["pruned_heads"].items():
        kept = torch.tensor([head for head in range(heads) if head not in gone])
        places = (kept[:, None] * size + torch.arange(size)).flatten()
        for name, tensor in state.items():
            if f".layer.{layer}.attention." not in name:
                continue
            for dim, length in enumerate(tensor.shape):
                if length == len(places):
                    shape = [*tensor.shape]
                    shape[dim] = heads * size
                    whole[name] = tensor.new_zeros(shape).index_copy(dim, places, tensor)
    return whole
