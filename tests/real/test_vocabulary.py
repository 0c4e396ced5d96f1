"""A real fine-tuned encoder without the words that its training texts do not use."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prunecli
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.models.loading import load_tokenizer
from prunecli.shrink.vocabulary import numbering_of
from prunecli.tasks import load_task

ROOT = Path(os.environ.get("PRUNECLI_REAL_DIR", "nowhere"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (ROOT / "models").is_dir(), reason="PRUNECLI_REAL_DIR names no folder with models/"
    ),
]
SOURCE = ROOT / "models" / "minilm-l6-sst2"


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Cut with the training texts as the corpus."""
    corpus = ROOT / "data" / "sst2" / "train.parquet"
    out = tmp_path_factory.mktemp("vocabulary") / "cut"
    return prunecli.apply_masks(SOURCE, prune_vocab=corpus, out=out)


def test_three_quarters_of_the_words_go(cut: Any) -> None:
    assert cut.vocabulary[0] == 30_522 and cut.vocabulary[1] < 8_000
    assert cut.bytes[1] < 0.62 * cut.bytes[0]
    assert prunecli.verify_automodel(cut.out, against=SOURCE).passed


def test_texts_of_kept_words_score_the_same_and_others_hardly_differ(cut: Any) -> None:
    rows = load_task("sst2", data_dir=ROOT / "data" / "sst2").validation.to_list()
    before, after = (
        list(prunecli.predict(folder, rows, max_length=128, device="cpu")) for folder in (SOURCE, cut.out)
    )
    tokenizer = load_tokenizer(read_checkpoint(SOURCE))
    kept = numbering_of(read_checkpoint(cut.out)).ids
    known = [np.isin(ids, kept).all() for ids in tokenizer([row["sentence"] for row in rows])["input_ids"]]
    assert 0.3 < np.mean(known) < 1
    assert all(
        left["label"] == right["label"] and left["score"] == pytest.approx(right["score"], abs=1e-5)
        for left, right, same in zip(before, after, known, strict=True)
        if same
    )
    names = json.loads((SOURCE / "config.json").read_text())["id2label"]
    right = [
        [names[str(row["label"])] == record["label"] for row, record in zip(rows, records, strict=True)]
        for records in (before, after)
    ]
    assert np.mean(right[0]) == pytest.approx(0.8739, abs=1e-4)
    assert np.mean(right[1]) > 0.85
