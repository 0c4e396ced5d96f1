"""Pruned folders under another transformers: same outputs, same tokens? Prints a table; exit code 1 if not.

    python -m tests.other_transformers /path/to/other/bin/python [MODEL_TYPE ...]

Tiny pruned folders of each family, head and kind of cut are written here, with the outputs of the gated dense
model. The other Python, which needs torch and transformers only, loads them with `trust_remote_code=True`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.encoders import Encoder
from prunecli.masks import MaskSet
from prunecli.masks.gates import put_gates, set_masks
from prunecli.masks.units import GROUPS
from prunecli.models.loading import load_tokenizer
from prunecli.models.pruned import AUTO_CLASSES, is_pruned
from tests import tiny

CHILD = Path(__file__).with_name("child.py")
TOLERANCE = 1e-5
TEXTS = {"text": "the film was good", "pair": "we saw it on monday"}
HEADS = tuple(AUTO_CLASSES)
# What transformers 4.57 has as well. ALBERT is not here: a layer of it without heads needs transformers 5. Nor is
# RemBERT: its tokenizer, where it is built and not loaded as here, is saved without what puts special tokens around.
MODEL_TYPES = (
    "bert", "camembert", "data2vec-text", "deberta-v2", "distilbert", "electra", "ernie", "megatron-bert",
    "modernbert", "mpnet", "roberta", "roberta-prelayernorm", "roformer", "xlm-roberta", "xlm-roberta-xl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One pruned folder: its name, and the outputs and tokens that it has to give."""

    model_type: str
    head: str
    cut: str
    folder: Path
    outputs: dict[str, torch.Tensor]
    tokens: dict[str, list[int]]


def cuts(encoder: Encoder, head: str) -> dict[str, MaskSet]:
    """Return the kinds of cuts: what a stock config can say, and what it cannot."""
    narrow = encoder.stream is not None and head in encoder.stream.readers
    native = np.zeros((encoder.layers, encoder.intermediate), dtype=np.float32)
    native[:, ::3] = 1
    return {
        "native": MaskSet({"ffn_int": native}),
        "heads and neurons": tiny.random_masks(encoder, ("head", "ffn_int"), seed=1),
        "whole layers, heads": tiny.random_masks(encoder, ("head", "layer"), seed=2),
        **(
            {"hidden dimensions, heads": tiny.random_masks(encoder, ("head", "hidden"), seed=2)}
            if narrow
            else {}
        ),
        "all groups, real, empty layers": tiny.random_masks(encoder, GROUPS, seed=2, real=True, empty=True),
    }


def write_cases(folder: Path, model_types: tuple[str, ...]) -> Iterator[Case]:
    """Write a folder of each family, head and cut."""
    for model_type, head in product(model_types, HEADS):
        source = tiny.save_tiny(folder / "sources" / f"{model_type}{head}", model_type, head)
        for number, (name, masks) in enumerate(cuts(tiny.sizes(source), head).items()):
            at = folder / f"{model_type}{head}-{number}"
            yield write_case(at, model_type, head, name, source, masks)


def write_case(at: Path, model_type: str, head: str, cut: str, source: Path, masks: MaskSet) -> Case:
    """Write one pruned folder, its inputs, and what the child has to know."""
    at.mkdir()
    pruned = tiny.cut(source, masks, at / "model")
    gated = tiny.load(source)
    inputs = tiny.tiny_inputs(gated)
    if head == "ForMultipleChoice":
        inputs = {name: value[None] for name, value in inputs.items()}  # [examples, choices, tokens]
    save_file(inputs, at / "inputs.safetensors")
    config = json.loads((pruned / "config.json").read_text())
    (at / "case.json").write_text(
        json.dumps({**TEXTS, "auto_class": AUTO_CLASSES[head], "class": config["architectures"][0]})
    )
    assert is_pruned(config) == (cut != "native")
    set_masks(put_gates(gated, tiny.sizes(source), tuple(masks.masks)), masks)
    with torch.no_grad():
        found = gated(**inputs)
    outputs = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
    tokens = dict(load_tokenizer(read_checkpoint(pruned))(TEXTS["text"], TEXTS["pair"]))
    return Case(model_type, head, cut, at, outputs, tokens)


def run_child(python: str, folder: Path) -> None:
    """Let the other Python load every folder; it is offline, and gets none of this project."""
    environment = {
        "PATH": os.environ.get("PATH", ""), "HOME": str(folder), "HF_HOME": str(folder), "HF_HUB_OFFLINE": "1",
        "HF_MODULES_CACHE": str(folder / "modules"),
    }  # fmt: skip
    subprocess.run([python, "-I", str(CHILD), str(folder)], env=environment, cwd=folder, check=True)


def compare(case: Case) -> tuple[float, str | None]:
    """Return the largest difference of a case's outputs, and what is wrong, if anything is."""
    answer = json.loads((case.folder / "found.json").read_text())
    if answer["error"]:
        return float("inf"), answer["error"]
    found = load_file(case.folder / "found.safetensors")
    if found.keys() != case.outputs.keys():
        return float("inf"), f"outputs {sorted(found)} instead of {sorted(case.outputs)}"
    kept = load_file(case.folder / "inputs.safetensors")["attention_mask"].bool()
    gaps = [difference(found[name], wanted, kept) for name, wanted in case.outputs.items()]
    if answer["tokens"] != case.tokens:
        return max(gaps), f"tokens {answer['tokens']} instead of {case.tokens}"
    return max(gaps), None if max(gaps) <= TOLERANCE else "the outputs differ"


def difference(found: torch.Tensor, wanted: torch.Tensor, kept: torch.Tensor) -> float:
    """Return the largest absolute difference; padded positions of outputs with an entry a token do not count."""
    gap = (found - wanted).abs()
    if gap.shape[:2] == kept.shape:
        gap = gap[kept]
    return float(gap.max().nan_to_num(nan=float("inf")))


def main() -> int:
    """Write, let load, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", help="the Python of an environment with another transformers")
    parser.add_argument("model_types", nargs="*", default=MODEL_TYPES)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        cases = list(write_cases(Path(name), tuple(asked.model_types)))
        run_child(asked.python, Path(name))
        version = json.loads((cases[0].folder / "found.json").read_text())["version"]
        verdicts = [(case, *compare(case)) for case in cases]
    print(f"Written with transformers {transformers.__version__}, loaded with {version}.\n")
    print_table(verdicts)
    wrong = [(case, error) for case, _, error in verdicts if error]
    for case, error in wrong:
        print(f"{case.model_type} {case.head}, {case.cut}: {error}", file=sys.stderr)
    return 1 if wrong else 0


def print_table(verdicts: list[tuple[Case, float, str | None]]) -> None:
    """Print the largest difference of each family and cut, over all heads."""
    names = list(dict.fromkeys(case.cut for case, _, _ in verdicts))
    print(f"| family | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for model_type in dict.fromkeys(case.model_type for case, _, _ in verdicts):
        rows = [(case.cut, gap) for case, gap, _ in verdicts if case.model_type == model_type]
        each = [[gap for cut, gap in rows if cut == name] for name in names]
        print(f"| {model_type} | {' | '.join(f'{max(gaps):.1e}' if gaps else '' for gaps in each)} |")


if __name__ == "__main__":
    sys.exit(main())
