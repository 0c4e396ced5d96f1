"""The comparison with other libraries, without them: what it counts, searches for, reads and prints."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import peers, pruners
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.encoders import Encoder
from prunecli.masks.budget import encoder_flops
from prunecli.masks.units import PRICED_GROUPS
from prunecli.models.loading import load_model
from tests import tiny

DEMO = Path(pruners.api.__file__).parent / "demo" / "model"
TOKENS = 11


@pytest.mark.parametrize("empty", [False, True])
def test_macs_of_a_live_model_are_those_of_its_masks(
    bert: Path, bert_encoder: Encoder, tmp_path: Path, empty: bool
) -> None:
    masks = tiny.random_masks(bert_encoder, PRICED_GROUPS, seed=1, empty=empty)
    model = load_model(read_checkpoint(tiny.cut(bert, masks, tmp_path / "cut"))).model
    shapes = pruners.live_shapes(model, bert_encoder)
    macs = pruners.count_macs(shapes, bert_encoder, TOKENS)
    assert 2 * macs == encoder_flops(bert_encoder, masks, TOKENS)


@pytest.mark.parametrize(
    ("share_at", "expected"),
    [
        (lambda ratio: 1 - ratio, 0.7),
        (lambda ratio: 1 - ratio / 2, 1.0),  # out of reach: as near as can be
        (lambda ratio: 1 - ratio if ratio < 0.9 else 1.0, 0.7),  # a library that skips what would be emptied
    ],
)
def test_the_ratio_is_the_smallest_that_keeps_the_budget(
    share_at: Callable[[float], float], expected: float
) -> None:
    ratio = pruners.search_ratio(share_at, 0.3)
    assert 0 <= abs(ratio - expected) < 1e-3
    assert expected == 1.0 or share_at(ratio) <= 0.3


def test_a_candidate_that_fails_gives_a_row_with_the_reason() -> None:
    traceback = (
        "Loading weights: 100%\nTraceback (most recent call last):\n"
        '  File "pruners.py", line 1, in textpruner\n'
        "ModuleNotFoundError: No module named 'textpruner'\n"
    )
    missing = peers.read_row("textpruner", 0.5, subprocess.CompletedProcess([], 1, "", traceback))
    killed = peers.read_row("dense", 0.5, subprocess.CompletedProcess([], -9, "", ""))
    assert missing.error == "ModuleNotFoundError: No module named 'textpruner'"
    assert killed.error == "status -9: no word"
    header, _, *lines = peers.table([missing, killed])
    assert "did not run: ModuleNotFoundError" in lines[0]
    assert {line.count("|") for line in lines} == {header.count("|")}


def test_a_cut_of_the_demo_is_measured_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "reload", lambda cut, folder, head: "yes")  # starts a process: seconds
    monkeypatch.setattr(peers, "TOKENS", 8)
    job = pruners.Job(DEMO, "demo", None, budget=0.5, rows=64, folder=tmp_path)
    row = peers.measure("prunecli magnitude", job, rounds=2)
    assert 0.49 < row.reached <= 0.5
    assert 0.5 < row.metric <= 1
    assert row.peak > 0
    assert set(row.speedups) == {"1", "8"}
    printed = f"what a library says\n{json.dumps(asdict(row))}\n"
    assert peers.read_row(row.candidate, 0.5, subprocess.CompletedProcess([], 0, printed, "")) == row
    assert list(peers.table([row]))[2].startswith("| 0.5 | prunecli magnitude | 0.")
