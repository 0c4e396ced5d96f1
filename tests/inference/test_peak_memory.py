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


def test_a_process_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho first >&2; echo 'the last words' >&2; exit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(PruneError, match="nowhere: the process that measures memory failed: the last words"):
        peak_memory(tmp_path / "nowhere", batch_size=1, tokens=8, threads=1, device="cpu")
