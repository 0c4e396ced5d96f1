"""A folder of ours: the stock class with the same tensor names, and the head."""

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

HEAD = "pruning_head.classifier."


def outputs(source: Path, base: Path | None, written: Written, inputs: Inputs) -> dict[str, Tensor]:
    """Run the stock class on the tensors without the head, and the head beside it."""
    config, state = read_object(source / "config.json"), load_weights(source, written)
    head = {name: state.pop(HEAD + name) for name in ("weight", "bias")}
    ranks = config["mode"] == "reranking_pruning"
    auto_class = "AutoModelForSequenceClassification" if ranks else "AutoModel"
    model = stock_model(auto_class, config["base_model_config"], state, source, config.get("base_model_cut"))
    output, hidden = run_with_state(model, inputs, written)
    pruning = keep_or_prune(hidden, **head)
    return {"logits": output.logits, "pruning_logits": pruning} if ranks else {"logits": pruning}
