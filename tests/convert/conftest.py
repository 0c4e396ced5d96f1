"""Fixtures as other packages wrote them, and conversions without the proof: test_story.py has that."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

import prunecli
from prunecli.operations import convert as operation

prunecli.register_auto_models()  # the tests load folders with auto classes, and run no code of theirs
ORIGINALS = Path(__file__).parents[1] / "fixtures" / "originals"

RERANKING = (
    "reranking-pruning-bert",
    "reranking-pruning-modernbert",
    "open-provence",
    "open-provence-trainer",
)
PRUNING_ONLY = ("pruning-only-bert", "pruning-only-modernbert")
INPUTS = ("input_ids", "attention_mask")

Convert = Callable[..., Path]
Original = Callable[[str], Path]


@pytest.fixture
def original(tmp_path: Path) -> Original:
    """Return a function from a fixture's name to a copy of it that a test may break."""

    def copy(name: str) -> Path:
        return shutil.copytree(ORIGINALS / name, tmp_path / name)

    return copy


def expected(name: str) -> dict[str, Tensor]:
    """Return the inputs and outputs that were noted when a fixture was made."""
    return load_file(ORIGINALS / f"{name}.safetensors")


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Convert:
    """Return a function that converts a folder without the proof, and says where to."""
    monkeypatch.setattr(operation, "prove", lambda *asked: ())

    def run(source: Path, out: str = "converted", **options: Any) -> Path:
        result = prunecli.convert(source, tmp_path / out, **{"allow_pickle": True, **options})
        assert result.written and result.out is not None
        return result.out

    return run


def load(folder: Path, task: str = "SequenceClassification") -> Any:
    """Load a folder with an auto class: ours is registered, no code of the folder runs."""
    auto = getattr(transformers, f"AutoModelFor{task}")
    model, report = auto.from_pretrained(folder, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


@torch.no_grad()
def run(model: Any, noted: dict[str, torch.Tensor], **more: torch.Tensor) -> Any:
    """Run a model on the inputs of a fixture."""
    return model(**{name: noted[name] for name in INPUTS}, **more)


def change(file: Path, **entries: Any) -> None:
    """Change a JSON file; None takes a key away."""
    value = {**json.loads(file.read_text()), **entries}
    file.write_text(json.dumps({key: item for key, item in value.items() if item is not None}))
