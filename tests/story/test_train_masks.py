"""`train-masks` on the bundled model: what a run leaves behind, and that a killed run ends like any other."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForSequenceClassification

import prunecli
from prunecli import demo
from prunecli.checkpoints.atomic import partial_path
from prunecli.config import TrainMasksConfig
from prunecli.errors import InputError, MaskError, OfflineError, TargetExistsError, UnsupportedModelError
from prunecli.operations import train_masks
from prunecli.training import arguments
from prunecli.training.session import open_session

FAST: dict[str, Any] = {
    "model": "demo", "task": "demo", "max_length": 64, "num_epochs": 2, "max_train_samples": 320, "device": "cpu",
    "learn_masks": ("head", "ffn_int"), "masks_lr": 0.1, "gumbel_temp_start": 1.0, "lr": 3e-4,
}  # fmt: skip


def silent(label: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "demo"
    train_masks.run(TrainMasksConfig.of({**FAST, "out": out}), silent)
    return out


@pytest.mark.parametrize(
    ("limit", "asked", "tokens"), [(32, None, 32), (32, 48, 32), (128, 48, 48), (128, None, 64)]
)
def test_a_plan_counts_the_tokens_that_a_run_cuts_rows_to(
    limit: int, asked: int | None, tokens: int, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(demo.MODEL, tmp_path / "model"))
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": limit}))
    few = {**FAST, "max_length": asked, "max_train_samples": 8}
    config = TrainMasksConfig.of({**few, "model": str(model), "out": tmp_path / "run"})
    session = open_session(config, *train_masks.read_inputs(config, []), silent)
    assert train_masks.plan(config).tokens == session.max_length == tokens


def test_a_run_leaves_masks_model_and_record(run_folder: Path) -> None:
    names = {path.name for path in run_folder.iterdir()}
    pt = {"head_mask.pt", "ffn_intermediate_mask.pt", "ffn_output_mask.pt"}
    assert names == {"masks.safetensors", "model", "run.json", "report.html"} | pt
    assert not partial_path(run_folder).exists()


def test_hidden_dimensions_are_learned_cut_and_proven(tmp_path: Path) -> None:
    asked = {"learn_masks": ["hidden", "head"], "mask_init": "open", "sparsity_loss": 2.0, "masks_lr": 0.2}
    run = train_masks.run(TrainMasksConfig.of({**FAST, **asked, "out": tmp_path / "run"}), silent)
    (left,) = run.kept["hidden"]
    cut = prunecli.apply_masks(run.out, out=tmp_path / "cut")
    assert cut.hidden == (64, left) and 0 < left < 64
    assert (cut.parameters, cut.heads) == (run.parameters, run.kept["head"])
    assert prunecli.verify_automodel(cut.out, against=run.out).passed


def test_pt_files_are_plain_zeros_and_ones(run_folder: Path) -> None:
    shapes = {"head_mask": (3, 4), "ffn_intermediate_mask": (3, 256), "ffn_output_mask": (3, 64)}
    for name, shape in shapes.items():
        mask = torch.load(run_folder / f"{name}.pt", weights_only=True)
        assert mask.dtype == torch.float32 and mask.shape == shape
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert torch.load(run_folder / "ffn_output_mask.pt", weights_only=True).all()  # was not learned


def test_the_model_with_the_masks_gives_the_reported_metric(run_folder: Path) -> None:
    result = json.loads((run_folder / "run.json").read_text())["result"]
    prunecli.apply_masks(run_folder, out=run_folder.parent / "cut")
    texts = (Path(prunecli.__file__).parent / "demo" / "validation.jsonl").read_text()
    rows = [json.loads(line) for line in texts.splitlines()]
    predicted = list(prunecli.predict(run_folder.parent / "cut", rows, max_length=64))
    right = [
        record["label"] == ["negative", "positive"][row["label"]]
        for record, row in zip(predicted, rows, strict=True)
    ]
    assert np.mean(right) == result["masked"]["accuracy"]


def test_the_dense_model_of_a_run_loads_with_stock_classes(run_folder: Path) -> None:
    model, report = AutoModelForSequenceClassification.from_pretrained(
        run_folder / "model", output_loading_info=True
    )
    assert type(model).__name__ == "BertForSequenceClassification"
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_freeze_leaves_the_weights_exactly_as_they_were(tmp_path: Path) -> None:
    train_masks.run(
        TrainMasksConfig.of({**FAST, "freeze": True, "max_steps": 3, "out": tmp_path / "run"}), silent
    )
    before = load_file(Path(prunecli.__file__).parent / "demo" / "model" / "model.safetensors")
    after = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(
        np.array_equal(before[name], after[name]) and before[name].dtype == after[name].dtype
        for name in before
    )


def same_outcome(left: Path, right: Path) -> bool:
    """Compare logits, masks and weights of two runs bit for bit."""
    files = ("masks.safetensors", "model/model.safetensors")
    pairs = [(load_file(left / name), load_file(right / name)) for name in files]
    return all(a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a) for a, b in pairs)


COMMAND = """
from prunecli.training import arguments
arguments.SAVE_EVERY = 4
from prunecli.cli.app import main
main()
"""


def test_a_run_killed_within_an_epoch_resumes_to_the_same_outcome(
    tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupts in the same process: tests/story/test_task_kinds.py."""
    out = tmp_path / "run"
    options = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in FAST.items()
        if name not in ("model", "task", "learn_masks")
    ]
    words = ["train-masks", "demo", "demo", "--out", str(out), *options]
    words += ["--learn-masks", "head", "--learn-masks", "ffn_int"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums in another order would differ in the last bit
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=one_thread,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not any((partial_path(out)).glob("checkpoint-*/trainer_state.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    monkeypatch.setattr(arguments, "SAVE_EVERY", 4)
    train_masks.run(TrainMasksConfig.of({**FAST, "out": out, "resume": True}), silent)
    assert same_outcome(out, run_folder)


def test_resuming_with_other_options_is_refused(tmp_path: Path) -> None:
    work = tmp_path / "run.partial"
    (work / "checkpoint-4").mkdir(parents=True)
    (work / "checkpoint-4" / "trainer_state.json").write_text("{}")
    (work / "config.json").write_text(json.dumps({"model": "demo", "task": "demo", "seed": 1}))
    with pytest.raises(InputError, match="was started with"):
        train_masks.run(TrainMasksConfig.of({**FAST, "out": tmp_path / "run", "resume": True}), silent)


def test_resuming_a_complete_run_returns_its_result(run_folder: Path) -> None:
    result = train_masks.run(TrainMasksConfig.of({**FAST, "out": run_folder, "resume": True}), silent)
    assert result.masked == json.loads((run_folder / "run.json").read_text())["result"]["masked"]


def test_frozen_epochs_train_under_fixed_masks(tmp_path: Path) -> None:
    few = {**FAST, "max_train_samples": 96, "log_loss_every": 1}
    config = TrainMasksConfig.of({**few, "frozen_epochs": 1, "out": tmp_path / "run"})
    history = train_masks.run(config, silent).history
    densities = {entry["density"] for entry in history if "density" in entry and entry["step"] > 3}
    assert len(densities) == 1


def test_a_plain_encoder_gets_a_new_head_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(
        Path(prunecli.__file__).parent / "demo" / "model"
    )
    model.bert.save_pretrained(tmp_path / "plain")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (Path(prunecli.__file__).parent / "demo" / "model" / name).read_text()
        (tmp_path / "plain" / name).write_text(text)
    config = TrainMasksConfig.of(
        {**FAST, "model": str(tmp_path / "plain"), "max_steps": 1, "out": tmp_path / "run"}
    )
    result = train_masks.run(config, silent)
    assert result.dense is None and "classifier.weight" in result.new_parameters
    assert "no head for task demo" in caplog.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"model": "no-such/model"}, OfflineError),
        ({"model": "./nowhere"}, InputError),
        ({"task": "sst3"}, InputError),
        ({"task": "qqp"}, OfflineError),
        ({"task": "mnli", "data_dir": "."}, InputError),
        ({"method": "gumble-sigmoid"}, InputError),
        ({"device": "cuda"}, InputError),
        ({"report_to": "trackio"}, InputError),
    ],
)
def test_bad_input_leaves_nothing_behind(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception]
) -> None:
    config = TrainMasksConfig.of({**FAST, **changes, "out": tmp_path / "run"})
    with pytest.raises(error) as caught:
        train_masks.run(config, silent)
    assert caught.value.fix  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_masks_that_remove_everything_are_refused(tmp_path: Path) -> None:
    harsh = {"masks_lr": 100.0, "sparsity_loss": 1e4, "max_steps": 3, "max_train_samples": 96}
    config = TrainMasksConfig.of({**FAST, **harsh, "out": tmp_path / "run"})
    with pytest.raises(MaskError, match="remove every head and every neuron of demo") as caught:
        train_masks.run(config, silent)
    assert "--sparsity-loss" in str(caught.value.fix)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_not_touched(run_folder: Path) -> None:
    before = (run_folder / "run.json").read_bytes()
    with pytest.raises(TargetExistsError, match="already exists"):
        train_masks.run(TrainMasksConfig.of({**FAST, "out": run_folder}), silent)
    assert (run_folder / "run.json").read_bytes() == before


def test_a_cut_checkpoint_is_refused_with_the_way_out(run_folder: Path, tmp_path: Path) -> None:
    prunecli.apply_masks(run_folder, out=tmp_path / "cut", native="never")
    with pytest.raises(UnsupportedModelError, match="already cut"):
        train_masks.run(
            TrainMasksConfig.of({**FAST, "model": str(tmp_path / "cut"), "out": tmp_path / "run"}), silent
        )
