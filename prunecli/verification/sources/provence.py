"""Provence and XProvence: the bare encoder with its pooler, and two linears."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig
from transformers.models.deberta_v2.modeling_deberta_v2 import ContextPooler

from prunecli.checkpoints.strict_json import read_object
from prunecli.verification.sources.base import (
    Inputs,
    State,
    Written,
    keep_or_prune,
    load_weights,
    stock_model,
)


def outputs(source: Path, base: Path | None, written: Written, inputs: Inputs) -> dict[str, Tensor]:
    """Compute `classifier(pooler(hidden))` and `token_classifier(hidden)`."""
    state = load_weights(source, written)
    model_type = "deberta-v2" if any(name.startswith("deberta.") for name in state) else "xlm-roberta"
    prefix = "deberta." if model_type == "deberta-v2" else "roberta."
    entries = {**read_object(source / "config.json"), "model_type": model_type}
    body = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    output = stock_model("AutoModel", entries, body, source)(**inputs)
    hidden = output.last_hidden_state
    pooled = output.pooler_output if prefix == "roberta." else _deberta_pooler(entries, state)(hidden)
    return {
        "logits": torch.nn.functional.linear(pooled, state["classifier.weight"], state["classifier.bias"]),
        "pruning_logits": keep_or_prune(
            hidden, state["token_classifier.weight"], state["token_classifier.bias"]
        ),
    }


def _deberta_pooler(entries: dict[str, Any], state: State) -> Any:
    """Return the pooler of DeBERTa's classes, which the bare encoder does not have."""
    sizes = {"pooler_hidden_size": entries["hidden_size"], **entries}
    config = AutoConfig.for_model(**{key: value for key, value in sizes.items() if key != "auto_map"})
    pooler: Any = ContextPooler(config)  # type: ignore[no-untyped-call]
    pooler.load_state_dict({name: state[f"pooler.{name}"] for name in ("dense.weight", "dense.bias")})
    return pooler.eval()
