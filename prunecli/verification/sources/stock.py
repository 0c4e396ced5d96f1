"""A stock checkpoint, loaded by its stock class; a new head is put on its encoder where the folder has one."""

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
    load_weights,
    stock_model,
    with_choices,
)
from prunecli.verification.sources.new_head import has_new_head, with_new_head


def outputs(source: Path, base: Path | None, written: Written, inputs: Inputs) -> dict[str, Tensor]:
    """Run the stock model, and the new head on its last hidden state."""
    entries = read_object(source / "config.json")
    architecture = str((entries.get("architectures") or ["Model"])[0])
    suffix = architecture[architecture.index("For") :] if "For" in architecture else ""
    bare = has_new_head(written) and written.config.get("mode") != "reranking_pruning"
    wanted = "AutoModel" if bare else f"AutoModel{suffix}"
    if not hasattr(transformers, wanted):
        wanted = "AutoModel"
    state = load_weights(source, written)
    if "pruned_heads" in entries:
        state = _whole(entries, state)
    model = stock_model(wanted, {**entries, "pruned_heads": {}}, state, source)
    given = with_choices(inputs) if suffix == "ForMultipleChoice" and not bare else inputs
    found: dict[str, Any] = {k: v for k, v in model(**given).items() if isinstance(v, Tensor)}
    return with_new_head(model.base_model, inputs, written, found) if has_new_head(written) else found


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
