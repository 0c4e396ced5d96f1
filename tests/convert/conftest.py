"""Fixtures as other packages wrote them, and conversions without the proof: test_story.py has that."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

import prunecli
from prunecli.operations import convert as operation

prunecli.register_auto_models()  # the tests load folders with auto classes, and run no code of theirs
ORIGINALS = Path(__file__).parents[1] / "fixtures" / "originals"

Convert = Callable[..., Path]


@pytest.fixture
def original(tmp_path: Path) -> Callable[[str], Path]:
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
