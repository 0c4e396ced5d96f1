"""The model card of a converted folder."""

from pathlib import Path
from typing import Any

from prunecli.models.pruned import AUTO_CLASSES
from prunecli.reports.model_card import PIPELINES, carried, front_matter
from prunecli.reports.templates import fill

Json = dict[str, Any]


def render(source: Path, config: Json, record: Json) -> str:
    """Render the card.

    Args:
        source: The folder that was converted; its own card's license is carried over.
        config: What config.json of the new folder holds.
        record: What `prunecli.json` will hold.
    """
    architecture = str((config.get("architectures") or ["Model"])[0])
    head = next(name for name in (*list(AUTO_CLASSES)[1:], "Model") if architecture.endswith(name))
    code = "auto_map" in config
    front = {
        "library_name": "transformers",
        "pipeline_tag": PIPELINES[head],
        **carried(source),
        "tags": ["prunecli", *(["custom_code"] if code else [])],
    }
    return fill(
        "converted_card.md",
        front=front_matter(front),
        name=Path(record["result"]["out"]).name,
        result=record["result"],
        record=record,
        architecture=architecture,
        auto_class=AUTO_CLASSES[head],
        code=code,
        graph=record["result"]["to"] == "onnx",
        positions=architecture == "MaskedSeqModel",
        keeps="pruning_config" in config,
        ranks=config.get("mode") == "reranking_pruning",
        state=config.get("pruning_config", {}).get("hidden_state"),
    )
