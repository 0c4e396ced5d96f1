"""A difference that is no number is no equality, though `max(0.0, nan)` is 0.0."""

import math
from pathlib import Path

import torch
from safetensors.torch import save_file

from prunecli.verification.child import _gap
from prunecli.verification.parity import check_parity

NAN = torch.tensor([[float("nan"), 1.0]])


def test_the_child_reports_a_nan_as_an_infinite_difference() -> None:
    assert _gap(NAN[0], torch.ones(2), 2) == math.inf


def test_parity_fails_on_nan(tmp_path: Path) -> None:
    save_file({"logits": NAN}, tmp_path / "outputs.safetensors")
    save_file({"attention_mask": torch.ones(1, 7, dtype=torch.long)}, tmp_path / "probes.safetensors")
    found = check_parity(
        {"logits": torch.ones(1, 2)},
        tmp_path / "outputs.safetensors",
        tmp_path / "probes.safetensors",
        1e-5,
        "x",
    )
    assert found.status == "fail"
