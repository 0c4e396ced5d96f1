"""The modeling file that a pruned folder carries: `modeling_pruned.py` with the names of its own stock class.

One template serves every encoder family and every head: three names in it are replaced. A folder's file
is trusted only if it is, byte for byte, what `render` gives for the folder's config.
"""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from prunecli.checkpoints.cut_keys import CUT_KEYS
from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.kinds.pruned import PREFIX
from prunecli.checkpoints.kinds.pruned import is_pruned as is_pruned
from prunecli.encoders import Encoder, for_config
from prunecli.errors import UnsupportedModelError

MODULE = "modeling_pruned"
FILE = f"{MODULE}.py"

# What a class name ends with -> the auto class that loads it.
AUTO_CLASSES = {
    "Model": "AutoModel",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForMultipleChoice": "AutoModelForMultipleChoice",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
}


def stock_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without any word of a cut: what the family's table is looked up by, and its sizes."""
    stock = {
        key: value for key, value in config.items() if key not in (*CUT_KEYS, "pruned_heads", "auto_map")
    }
    if is_pruned(config):
        stock["model_type"] = str(config["model_type"]).removeprefix(PREFIX)
        stock["architectures"] = [
            str(name).removeprefix("Pruned") for name in config.get("architectures") or []
        ]
    return stock


def encoder_of(checkpoint: Checkpoint) -> Encoder:
    """Return the family's table and the dense sizes for a stock or pruned checkpoint."""
    return for_config(stock_config(checkpoint.config))


def head_of(architecture: str | None, encoder: Encoder) -> str:
    """Return a class name without its stem: `ForSequenceClassification`.

    Raises:
        UnsupportedModelError: The class is none of this family's, or has a head without an auto class.
    """
    stem = encoder.model_type.stem
    head = (architecture or "").removeprefix("Pruned").removeprefix(stem)
    if (
        architecture is None
        or not architecture.removeprefix("Pruned").startswith(stem)
        or head not in AUTO_CLASSES
    ):
        raise UnsupportedModelError(
            f"architecture {architecture!r} in config.json cannot be pruned",
            f"supported heads: {', '.join(stem + name for name in AUTO_CLASSES)}",
        )
    return head


def render(encoder: Encoder, head: str) -> str:
    """Return the text of the modeling file for a family and a head."""
    stem, model_type = encoder.model_type.stem, encoder.model_type.name
    text = resources.files("prunecli.models").joinpath(FILE).read_text(encoding="utf-8")
    text = re.sub(r"\b(Pruned)?BertForSequenceClassification\b", rf"\g<1>{stem}{head}", text)
    text = re.sub(r"\b(Pruned)?BertConfig\b", rf"\g<1>{stem}Config", text)
    return text.replace('"pruned_bert"', f'"{PREFIX}{model_type}"')


def auto_map(encoder: Encoder, head: str) -> dict[str, str]:
    """Return where transformers finds the shipped classes: in the modeling file, and nowhere else."""
    stem = encoder.model_type.stem
    names = {"AutoConfig": f"Pruned{stem}Config", AUTO_CLASSES[head]: f"Pruned{stem}{head}"}
    return {auto: f"{MODULE}.{name}" for auto, name in names.items()}


def shipped_config(
    config: Mapping[str, Any], encoder: Encoder, head: str, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the `config.json` of a folder that carries the shipped class."""
    return {
        **stock_config(config),
        "model_type": PREFIX + encoder.model_type.name,
        "architectures": [f"Pruned{encoder.model_type.stem}{head}"],
        "auto_map": auto_map(encoder, head),
        **changes,
    }
