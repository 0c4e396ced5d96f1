"""The story on a real fine-tuned encoder and real data, where PRUNECLI_REAL_DIR names them."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prunecli
from prunecli.tasks import load_task

ROOT = Path(os.environ.get("PRUNECLI_REAL_DIR", "nowhere"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (ROOT / "models").is_dir(), reason="PRUNECLI_REAL_DIR names no folder with models/"
    ),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Train for a few steps, fast enough to remove units."""
    return prunecli.train_masks(
        ROOT / "models" / "minilm-l6-sst2",
        "sst2",
        data_dir=ROOT / "data" / "sst2",
        out=tmp_path_factory.mktemp("real") / "run",
        learn_masks=["head", "ffn_int"],
        max_train_samples=640,
        num_epochs=1,
        masks_lr=0.25,
        gumbel_temp_start=1.0,
        device="cpu",
    )


def test_the_dense_checkpoint_has_its_published_accuracy(run: Any) -> None:
    assert run.dense["accuracy"] == pytest.approx(0.8739, abs=1e-4)


@pytest.mark.parametrize(
    ("task", "published"), [("sst2", {"accuracy": 0.8739}), ("qqp", {"accuracy": 0.8060, "f1": 0.7371})]
)
def test_evaluate_gives_the_published_metrics(task: str, published: dict[str, float]) -> None:
    folder = ROOT / "models" / f"minilm-l6-{task}"
    result = prunecli.evaluate(folder, task, data_dir=ROOT / "data" / task, device="cpu")
    assert result.metrics == pytest.approx(published, abs=1e-4)


def test_masked_cut_and_predicted_agree_exactly(run: Any) -> None:
    assert run.density["ffn_int"] < 1
    cut = prunecli.apply_masks(run.out, out=run.out.parent / "cut")
    assert cut.parameters == run.parameters and cut.flops == run.flops
    rows = load_task("sst2", data_dir=ROOT / "data" / "sst2").validation.to_list()
    predicted = prunecli.predict(cut.out, rows, max_length=128)
    names = json.loads((cut.out / "config.json").read_text())["id2label"]
    right = [names[str(row["label"])] == record["label"] for row, record in zip(rows, predicted, strict=True)]
    assert np.mean(right) == run.masked["accuracy"]
    assert prunecli.verify_automodel(cut.out, against=run.out).passed
