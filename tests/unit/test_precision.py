"""Devices without float64 (Apple's GPUs) get on: what is computed in it meets nothing that lies on the device."""

from collections.abc import Mapping
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prunecli import methods
from prunecli.calibration.precision import wide
from prunecli.calibration.reconstruction import Dense, reconstruct
from prunecli.masks.gates import put_gates, set_masks
from prunecli.methods.base import Calibrated, ScoreMethod
from tests import tiny

GROUPS = ("head", "ffn_int")
SCORED = [name for name in methods.names() if isinstance(methods.get(name), ScoreMethod)]
CONVERSIONS = {"aten::_to_copy", "aten::copy_"}


class NoMixing(TorchDispatchMode):
    """Takes float64 for the CPU and float32 for the device: refuses operations on both, as such a device would."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.dim()]
        kinds = {tensor.dtype for tensor in given if tensor.is_floating_point()}
        assert func.name() in CONVERSIONS or kinds != {torch.float32, torch.float64}, func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", SCORED)
def test_scores_and_refits_keep_double_precision_apart(name: str) -> None:
    dense, model = tiny.tiny_model("bert"), tiny.tiny_model("bert")
    encoder = tiny.table(model)
    values = put_gates(model, encoder, GROUPS)
    batches = [tiny.tiny_inputs(model, 8, 12, seed) for seed in range(4)]
    labels = [{"labels": torch.arange(8) % 2} for _ in batches]
    method = methods.get(name)
    assert isinstance(method, ScoreMethod)
    kept = {group: torch.ones_like(value) for group, value in values.items()}
    with NoMixing():
        scores = method.score(Calibrated(model, encoder, batches, labels, kept, 0))
        masks = {group: (score_LU > score_LU.median()).float() for group, score_LU in scores.items()}
        set_masks(values, masks)
        reconstruct(Dense(dense, encoder, batches[:3], batches[3:]), model, masks)


def test_what_lies_on_such_a_device_is_widened_on_the_cpu() -> None:
    there = MagicMock(device=torch.device("mps"))
    assert wide(there) is there.cpu().to.return_value
    here = torch.ones(2, dtype=torch.float64)
    assert wide(here) is not here  # callers write into it


def test_mixing_is_noticed() -> None:
    with pytest.raises(AssertionError, match="add"), NoMixing():
        _ = torch.ones(2) + torch.ones(2, dtype=torch.float64)
