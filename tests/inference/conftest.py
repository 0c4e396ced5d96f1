"""Records that the tests of predictions share."""

import json
from pathlib import Path

import pytest

TEXTS = ["good", "the film was not very good", "dull plot", "we saw it on monday " * 3, "bad"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(TEXTS))
    )
    return path
