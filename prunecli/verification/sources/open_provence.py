"""OpenProvence: everything in one file, the ranking model under a prefix or not."""

from pathlib import Path

from torch import Tensor

from prunecli.checkpoints.strict_json import read_object
from prunecli.verification.sources.base import (
    Inputs,
    Written,
    keep_or_prune,
    load_weights,
    run_with_state,
    stock_model,
)


def outputs(source: Path, base: Path | None, written: Written, inputs: Inputs) -> dict[str, Tensor]:
    """Run the ranking model and put the head on the state that it was trained on."""
    config = read_object(source / "config.json")
    entries = config.get("base_model_config") or read_object(base / "config.json" if base else source)
    entries = {**entries, "num_labels": config.get("num_labels", 1)}
    if len(entries.get("id2label") or {}) != entries["num_labels"]:
        entries.pop("id2label", None)
        entries.pop("label2id", None)
    else:
        entries.pop("num_labels")
    everything = load_weights(source, written)
    head = {name: everything.pop(f"pruning_head.classifier.{name}") for name in ("weight", "bias")}
    state = {name.replace("ranking_model.", "", 1): tensor for name, tensor in everything.items()}
    state = {name: tensor for name, tensor in state.items() if not name.startswith("pruning_head.")}
    model = stock_model("AutoModelForSequenceClassification", entries, state, source)
    output, hidden = run_with_state(model, inputs, written)
    return {"logits": output.logits, "pruning_logits": keep_or_prune(hidden, **head)}
