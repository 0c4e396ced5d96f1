"""Where a stock config can say the cut, the stock class and the shipped class are the same function."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.masks import MaskSet
from tests import tiny


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
@given(kept=st.integers(1, tiny.INTERMEDIATE), seed=st.integers(0, 10_000), real=st.booleans())
@settings(max_examples=2)
def test_native_and_shipped_class_agree_bit_for_bit(
    model_type: str, tiny_checkpoint: Callable[..., Path], kept: int, seed: int, real: bool
) -> None:
    source = tiny_checkpoint(model_type)
    random = np.random.default_rng(seed)
    mask = np.zeros((tiny.LAYERS, tiny.INTERMEDIATE), dtype=np.float32)
    for row in mask:
        row[random.permutation(tiny.INTERMEDIATE)[:kept]] = random.uniform(0.5, 2, kept) if real else 1
    with TemporaryDirectory() as folder:
        native, shipped = (
            tiny.cut(source, MaskSet({"ffn_int": mask}), Path(folder) / choice, choice)
            for choice in ("auto", "never")
        )
        assert read_checkpoint(native).config["model_type"] == model_type
        assert read_checkpoint(shipped).config["model_type"] == f"pruned_{model_type}"
        models = tiny.load(native), tiny.load(shipped)
    inputs = tiny.tiny_inputs(models[0])
    assert torch.equal(tiny.outputs(models[0], inputs), tiny.outputs(models[1], inputs))
