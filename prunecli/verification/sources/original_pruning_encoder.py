"""The training package's PruningEncoder: the model in its folder, the head beside it."""

from pathlib import Path

from torch import Tensor

from prunecli.checkpoints.kinds.pruning_encoder import PRUNING_ONLY
from prunecli.checkpoints.strict_json import read_object
from prunecli.verification.sources.base import (
    Inputs,
    Written,
    keep_or_prune,
    load_one,
    load_weights,
    run_with_state,
    stock_model,
)


def outputs(source: Path, base: Path | None, written: Written, inputs: Inputs) -> dict[str, Tensor]:
    """Run the model as the package did, with segments where it dropped them."""
    head_file = next(
        file
        for name in ("model.safetensors", "pytorch_model.bin")
        if (file := source / "pruning_head" / name).exists()
    )
    head = load_one(head_file, written)
    ranks = (source / "ranking_model").is_dir() and written.config.get("mode") != PRUNING_ONLY
    folder = source / ("ranking_model" if ranks else "encoder_model")
    entries = read_object(folder / "config.json")
    auto_class = "AutoModelForSequenceClassification" if ranks else "AutoModel"
    model = stock_model(auto_class, entries, load_weights(folder, written), folder)
    if not ranks:
        state = model(**inputs).last_hidden_state
        return {"logits": keep_or_prune(state, head["classifier.weight"], head["classifier.bias"])}
    output, state = run_with_state(model, inputs, written)
    return {
        "logits": output.logits,
        "pruning_logits": keep_or_prune(state, head["classifier.weight"], head["classifier.bias"]),
    }
