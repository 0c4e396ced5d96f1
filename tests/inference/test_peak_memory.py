"""Peak memory is that of a process of its own."""

import sys
from pathlib import Path

import pytest

from prunecli.errors import PruneError
from prunecli.inference.peak_memory import peak_memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_checkpoint_takes_some_memory(bert: Path) -> None:
    found = peak_memory(bert, batch_size=1, tokens=8, threads=1, device="cpu")
    assert found is not None
    assert 1e5 < found < 2e8


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(PruneError, match="is not a folder"):
        peak_memory(tmp_path / "nowhere", batch_size=1, tokens=8, threads=1, device="cpu")
