"""What convert makes of every kind, and what others can do with it: each auto class, without prunecli.

    python -m benchmarks.kinds

Sources are the fixtures of the tests, and tiny models of random weights. Each is converted with its proof; then a child
that cannot import prunecli (`benchmarks/kinds_child.py`) loads the folder with each auto class that it is for.
Differences are those from another reading of the source, and from what was noted when a fixture was made. Prints a
markdown table; its last column needs sentence-transformers.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

import prunecli
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.kinds.base import Reading
from prunecli.masks.units import GROUPS
from prunecli.models.shipped import encoder_of
from prunecli.verification import parity
from prunecli.verification.conversion import source_outputs
from tests import tiny
from tests.convert.conftest import ORIGINALS
from tests.convert.test_other_sources import provence
from tests.unit.test_irti_masked_seq import FIXTURE

CHILD = Path(__file__).with_name("kinds_child.py")
COLUMNS = (
    "loads without prunecli", "max abs difference", "save and reload", "Trainer step", "pipeline", "CrossEncoder",
)  # fmt: skip
SEQUENCE, TOKENS = "AutoModelForSequenceClassification", "AutoModelForTokenClassification"

Source = Callable[[Path], Path]


def plain(model_type: str, head: str = tiny.CLASSIFICATION, **changes: Any) -> Source:
    """Return what saves a tiny stock model."""
    return lambda folder: tiny.save_tiny(folder, model_type, head, **changes)


def cut(head: str) -> Source:
    """Return what saves a tiny BERT with this head, cut to uneven layers."""

    def build(folder: Path) -> Path:
        source = tiny.save_tiny(folder.with_name("dense"), "bert", head)
        return tiny.cut(source, tiny.random_masks(tiny.sizes(source), GROUPS, seed=0, empty=True), folder)

    return build


def built(model_type: str) -> Source:
    """Return what saves a tiny Provence or XProvence."""

    def build(folder: Path) -> Path:
        provence(folder, model_type)
        return folder

    return build


def fixture(name: str) -> Source:
    """Return what finds a fixture."""
    return lambda folder: ORIGINALS / name


# What is converted: its name, where it is from, and options.
SOURCES: tuple[tuple[str, Source, dict[str, Any]], ...] = (
    ("PruningEncoder, reranking, BERT", fixture("reranking-pruning-bert"), {}),
    ("PruningEncoder, reranking, ModernBERT", fixture("reranking-pruning-modernbert"), {}),
    ("PruningEncoder, pruning only, BERT", fixture("pruning-only-bert"), {}),
    ("PruningEncoder, pruning only, ModernBERT", fixture("pruning-only-modernbert"), {}),
    ("OpenProvence", fixture("open-provence"), {}),
    ("OpenProvence, Trainer's checkpoint", fixture("open-provence-trainer"), {}),
    ("Provence, DeBERTa-v3", built("deberta-v2"), {}),
    ("XProvence, XLM-RoBERTa", built("xlm-roberta"), {}),
    ("reranker, new pruning head", plain("electra", num_labels=1), {"to": "pruning-encoder"}),
    ("encoder, new pruning head", plain("mpnet", "Model"), {"to": "pruning-encoder"}),
    ("ranking model of a PruningEncoder", fixture("reranking-pruning-bert"), {"to": "ranking-model"}),
    ("irti masked-sequence", lambda folder: FIXTURE, {}),
    ("encoder, new head for positions", plain("roberta", "Model"), {"to": "masked-seq", "num_labels": 3}),
    ("stock, in shards and float16", plain("bert"), {"dtype": "float16", "max_shard_size": "60KB"}),
    ("pruned folder", cut(tiny.CLASSIFICATION), {}),
    ("PruningEncoder on a cut encoder", cut("PruningEncoderForSequenceClassification"), {}),
    ("masked-sequence on a cut encoder", cut("MaskedSeqModel"), {}),
    ("heads that transformers 4 removed", fixture("pruned-heads"), {}),
)


def main() -> None:
    """Print the table."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print(f"| kind | auto class | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
    for name, source, options in SOURCES:
        with tempfile.TemporaryDirectory() as place:
            for auto, cells in measure(source, Path(place), options).items():
                print(f"| {name} | `{auto}` | {' | '.join(cells)} |", flush=True)


def measure(source: Source, place: Path, options: dict[str, Any]) -> dict[str, list[str]]:
    """Convert one source, and return the cells of each auto class."""
    found, out = source(place / "source"), place / "converted"
    done = prunecli.convert(found, out, allow_pickle=True, **options)
    assert done.written, [item for item in done.findings if item.status == "fail"]
    checkpoint = read_checkpoint(out)
    probes = place / "probes.safetensors"
    parity.write_probes(checkpoint, encoder_of(checkpoint), probes)
    reading = Reading(allow_pickle=True)
    cases = [
        (load_file(probes), source_outputs(checkpoint, found, done.kind, reading, probes)),
        *noted(found),
    ]
    classes = sorted(set(checkpoint.config.get("auto_map", {SEQUENCE: ""})) - {"AutoConfig"})
    for auto in classes:
        for number, (inputs, outputs) in enumerate(cases):
            named = under_names_of(auto, outputs, checkpoint.config)
            tensors = {f"in.{key}": value for key, value in inputs.items()}
            tensors |= {f"out.{key}": value.contiguous() for key, value in named.items()}
            save_file(tensors, place / f"{auto}.{number}.st")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(place / "modules")}
    ran = subprocess.run(
        [sys.executable, "-I", str(CHILD), str(out), str(place), *classes],
        cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    rows: dict[str, list[str]] = json.loads(ran.stdout.splitlines()[-1])
    return rows


def noted(source: Path) -> list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]]:
    """Return inputs and outputs that were noted when a fixture was made; nothing of what is no fixture."""
    files = (source.with_name(f"{source.name}.safetensors"), source / "expected.safetensors")
    for file in files:
        if file.is_file():
            tensors = load_file(file)
            outputs = {name: tensors.pop(name) for name in [*tensors] if name.endswith("logits")}
            return [(tensors, outputs)]
    return []


def under_names_of(auto: str, wanted: dict[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Return what a source gives under the names that an auto class has for it."""
    if config["model_type"] != "pruning_encoder":
        return {"logits": wanted["logits"]}
    ranks = config["mode"] == "reranking_pruning"
    pruning = wanted.get("pruning_logits", wanted.get("logits"))
    assert pruning is not None
    score = {"ranking_logits": wanted["logits"]} if ranks else {}
    return {
        "AutoModel": {**score, "pruning_logits": pruning},
        SEQUENCE: wanted,
        TOKENS: {**score, "logits": pruning},
    }[auto]


if __name__ == "__main__":
    main()
