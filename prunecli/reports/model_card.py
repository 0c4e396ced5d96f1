"""The model card of a pruned folder: a template file, and the facts that fill it."""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from prunecli import demo
from prunecli.checkpoints.folder import CARD, Checkpoint
from prunecli.checkpoints.sentence_files import MODULES
from prunecli.encoders import Encoder
from prunecli.fields import command_line
from prunecli.masks.budget import LayerShapes
from prunecli.masks.formats import FILE as MASKS
from prunecli.models.pruned import AUTO_CLASSES
from prunecli.models.shipped import head_of, is_around
from prunecli.reports.templates import fill
from prunecli.tasks import tasks

CARRIED_KEYS = (
    "license", "license_name", "license_link", "language", "datasets", "pipeline_tag", "base_model",
)  # fmt: skip
PIPELINES = {
    "Model": "feature-extraction",
    "ForMaskedLM": "fill-mask",
    "ForMultipleChoice": "multiple-choice",
    "ForQuestionAnswering": "question-answering",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
}
# The class of sentence-transformers for a head, and its verb; a folder is one of its if it lists modules.
SENTENCE_CLASSES = {
    "Model": ("SentenceTransformer", "encode"),
    "ForMaskedLM": ("SparseEncoder", "encode"),
    "ForSequenceClassification": ("CrossEncoder", "predict"),
}
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)

Json = dict[str, Any]


def render(
    checkpoint: Checkpoint, encoder: Encoder, layers: list[LayerShapes], record: Json, run: Json | None
) -> str:
    """Render the card.

    Args:
        checkpoint: The checkpoint that was cut; its own card's license is carried over.
        encoder: Its table and the sizes of the dense model.
        layers: What is left of each layer.
        record: What `prunecli.json` will hold.
        run: What `run.json` holds, where the checkpoint comes from a run.
    """
    head = head_of(checkpoint)
    measured = run["result"] if run is not None and _is_what_the_run_measured(record["config"]) else None
    front = _front_matter(checkpoint, head, record["result"], run, measured)
    return fill(
        "model_card.md",
        front=front_matter(front),
        name=Path(record["result"]["out"]).name,
        result=record["result"],
        record=record,
        run=run,
        measured=measured,
        encoder=encoder,
        head=head,
        architecture=str(checkpoint.architecture).removeprefix("Pruned"),
        around=checkpoint.config["model_type"] if is_around(checkpoint.config) else None,
        auto_class=AUTO_CLASSES[head],
        sentence_class=SENTENCE_CLASSES.get(head) if MODULES in record["result"]["files"] else None,
        has_tokenizer=bool(checkpoint.tokenizer_files),
        is_pair=_is_pair(run),
        verify_command=verify_command(Path(record["result"]["out"]).name, record["config"]),
        is_multi_label=checkpoint.config.get("problem_type") == "multi_label_classification",
        is_regression=checkpoint.config.get("problem_type") == "regression",
        shapes=[_shapes(encoder, number, layer) for number, layer in enumerate(layers)],
    )


def front_matter(facts: Json) -> str:
    """Write what the hub reads at a card's head."""
    text: str = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)
    return text.strip()


def _is_what_the_run_measured(config: Json) -> bool:
    """Say whether what the run measured holds for the cut: not with other masks, more units, or fewer tokens."""
    return config["masks"] is None and not config["round_to"] and not config["prune_vocab"]


def _front_matter(
    checkpoint: Checkpoint, head: str, result: Json, run: Json | None, measured: Json | None
) -> Json:
    sentences = MODULES in result["files"]
    front = {
        "library_name": "sentence-transformers" if sentences else "transformers",
        "pipeline_tag": PIPELINES[head],
        **carried(checkpoint.path),
        "tags": [
            *(["sentence-transformers"] if sentences else []),
            "pruned",
            "prunecli",
            *([] if result["native"] else ["custom_code"]),
        ],
    }
    if run is not None and _is_hub_id(run["result"]["model"]):
        front["base_model"] = run["result"]["model"]
    if measured is not None:
        front["model-index"] = [
            {"name": Path(result["out"]).name, "results": [_evaluation(measured, front["pipeline_tag"])]}
        ]
    return front


def carried(folder: Path) -> Json:
    """Return license, language and the like from the card of a source's folder."""
    path = folder / CARD
    found = (
        FRONT_MATTER.search(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
    )
    try:
        front = yaml.safe_load(found[1]) if found else {}
    except yaml.YAMLError:
        return {}
    return {key: front[key] for key in CARRIED_KEYS if key in front} if isinstance(front, dict) else {}


def _is_hub_id(model: str) -> bool:
    return model != "demo" and HUB_ID.fullmatch(model) is not None and not Path(model).exists()


def _evaluation(measured: Json, pipeline: str) -> Json:
    """Return what the run measured with the masks on, as the hub's `model-index` has it."""
    task = tasks().get(measured["task"])
    dataset: Json = {"name": measured["task"], "type": task.hub[0] if task and task.hub else measured["task"]}
    if task is not None and len(task.hub) > 1:
        dataset["config"] = task.hub[1]
    dataset["split"] = task.validation if task else "validation"
    metrics = [
        {"type": name, "value": round(value, 6)}
        for name, value in measured["masked"].items()
        if math.isfinite(value)
    ]
    return {"task": {"type": pipeline}, "dataset": dataset, "metrics": metrics}


def _is_pair(run: Json | None) -> bool:
    """Say whether the task that the model was trained on has two texts."""
    if run is None:
        return False
    columns = run["config"].get("text_columns")
    task = tasks().get(run["result"]["task"])
    return "," in columns if columns else task is not None and len(task.columns) == 2


def verify_command(folder: str, config: Json) -> str:
    """Return the command that proves a folder equal to the gated model.

    Args:
        folder: The pruned folder.
        config: The options of `apply-masks`. Where they name or round masks, what was cut differs from what a
            run decided: the folder's own masks say it.
    """
    source = demo.NAME if str(config["source"]) == str(demo.MODEL) else str(config["source"])
    words = ["prunecli", "verify-automodel", folder, "--against", source]
    if config["masks"] or config["round_to"]:
        words += ["--masks", f"{folder}/{MASKS}"]
    return command_line(words)


def _shapes(encoder: Encoder, number: int, layer: LayerShapes) -> list[str]:
    """Return the shapes of the linears around a layer's heads and around its neurons; none where it has gone."""
    if not layer.linears:
        return ["gone"] * 4
    attention, ffn = encoder.family.attention, encoder.family.ffn
    names = (attention.inputs[0], attention.output, ffn.inputs[0], ffn.output)
    return [" x ".join(map(str, layer.linears[encoder.module(number, name)])) for name in names]
