"""Layers that share their weights have one mask, and the verbs say so."""

import logging
from pathlib import Path
from typing import Any

import pytest

from prunecli.config import ApplyMasksConfig, TrainMasksConfig
from prunecli.errors import UnsupportedModelError
from prunecli.masks import formats
from prunecli.masks.units import mask_shape
from prunecli.operations import apply_masks, train_masks
from tests import tiny

SAID = "The 6 layers of this albert share one set of weights: one mask stands for all of them."


@pytest.fixture(scope="module")
def albert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an ALBERT as it is mostly used: all layers have the same weights."""
    return tiny.save_tiny(tmp_path_factory.mktemp("albert"), "albert", num_hidden_groups=1, num_labels=2)


@pytest.fixture
def talk(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what the operations say."""
    caplog.set_level(logging.INFO, "prunecli")
    return caplog


@pytest.mark.parametrize(
    ("model_type", "changes", "said"),
    [
        ("albert", {"num_hidden_groups": 1}, SAID),
        (
            "albert",
            {"num_hidden_groups": 3},
            "The 6 layers of this albert share 3 sets of weights: one mask stands for 2 of them.",
        ),
        ("albert", {"num_hidden_groups": 6}, ""),
        ("bert", {}, ""),
    ],
)
def test_the_sentence_counts_layers_and_sets(model_type: str, changes: dict[str, Any], said: str) -> None:
    assert tiny.table(tiny.tiny_model(model_type, **changes)).sharing == said


def test_one_mask_stands_for_all_layers(albert: Path, tmp_path: Path) -> None:
    encoder = tiny.sizes(albert)
    assert mask_shape(encoder, "head") == (1, tiny.ATTENTION_HEADS)
    (tmp_path / "gone.json").write_text('{"head": {"0": [1, 2]}}')
    masks = formats.read(tmp_path / "gone.json", encoder)
    cut = tiny.load(tiny.cut(albert, masks, tmp_path / "cut"))
    assert cut.config.num_hidden_layers == 6
    layer = cut.base_model.encoder.albert_layer_groups[0].albert_layers[0]
    assert layer.attention.query.out_features == 2 * encoder.head_size


@pytest.mark.parametrize("dry_run", [True, False])
def test_apply_masks_says_it(dry_run: bool, albert: Path, tmp_path: Path, talk: Any) -> None:
    (tmp_path / "gone.json").write_text('{"head": {"0": [1]}}')
    options = {"source": albert, "masks": tmp_path / "gone.json", "out": tmp_path / "out", "dry_run": dry_run}
    apply_masks.run(ApplyMasksConfig.of(options))
    assert talk.messages.count(SAID) == 1


def test_train_masks_says_it_in_the_plan_and_in_the_run(albert: Path, tmp_path: Path, talk: Any) -> None:
    options = {"model": str(albert), "task": "demo", "out": tmp_path / "run", "max_steps": 1, "device": "cpu"}
    config = TrainMasksConfig.of({**options, "max_train_samples": 32, "mask_init": "open"})
    train_masks.plan(config)
    assert talk.messages.count(SAID) == 1
    train_masks.run(config, lambda label, done, total: None)
    assert talk.messages.count(SAID) == 2


def test_the_plan_refuses_what_cannot_be_refitted(albert: Path, tmp_path: Path) -> None:
    asked = {"model": str(albert), "task": "demo", "out": tmp_path / "run", "method": "magnitude"}
    with pytest.raises(UnsupportedModelError, match="cannot be refitted one by one"):
        train_masks.plan(TrainMasksConfig.of({**asked, "target_flops": 0.5}))
    for more in ({"target_flops": 0.5, "keep_weights": True}, {"target_flops": 1.0, "recovery_epochs": 1}):
        assert train_masks.plan(TrainMasksConfig.of({**asked, **more})).layers == 1


def test_layers_of_their_own_are_not_spoken_of(bert: Path, tmp_path: Path, talk: Any) -> None:
    (tmp_path / "gone.json").write_text('{"head": {"0": [1]}}')
    options = {"source": bert, "masks": tmp_path / "gone.json", "dry_run": True}
    apply_masks.run(ApplyMasksConfig.of(options))
    assert "share" not in talk.text
