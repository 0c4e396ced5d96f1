"""A masked-sequence folder: the stock encoder, and its head by hand, on every token."""

from pathlib import Path

from torch import Tensor
from torch.nn import functional

from prunecli.checkpoints.strict_json import read_object
from prunecli.verification.sources.base import Inputs, State, Written, load_weights, stock_model


def outputs(source: Path, base: Path | None, written: Written, inputs: Inputs) -> dict[str, Tensor]:
    """Run the encoder and the head."""
    config, state = read_object(source / "config.json"), load_weights(source, written)
    entries = config.get("base_model_config") or read_object((base or source) / "config.json")
    head = {name: tensor for name, tensor in state.items() if name.startswith("head.")}
    body = {name.partition(".")[2]: tensor for name, tensor in state.items() if name not in head}
    encoder = stock_model("AutoModel", entries, body, source, config.get("base_model_cut"))
    hidden_BTH = encoder(**inputs).last_hidden_state
    return {"logits": positions(hidden_BTH, head)}


def positions(hidden_BTH: Tensor, head: State) -> Tensor:
    """Return the logits of every token: linear, GELU, layer norm and linear."""
    inner_BTH = functional.gelu(functional.linear(hidden_BTH, head["head.0.weight"], head["head.0.bias"]))
    normed_BTH = functional.layer_norm(
        inner_BTH, inner_BTH.shape[-1:], head["head.2.weight"], head["head.2.bias"]
    )
    return functional.linear(normed_BTH, head["head.3.weight"], head["head.3.bias"])
