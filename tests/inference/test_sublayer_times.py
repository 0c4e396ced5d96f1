"""Latency tables of live layers: valid for every family, kept for the next who asks."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.inference import sublayer_times
from prunecli.inference.sublayer_times import Shape, levels, measure, table_for
from prunecli.masks.latency_table import LatencyTable, latency_prices
from tests import tiny

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep tables apart from those of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("units", [5, 48, 256, 300, 1536, 3072, 4096])
def test_levels_go_from_nothing_to_everything(units: int) -> None:
    found = levels(units, "ffn_int")
    assert found == sorted(set(found))
    assert (found[0], found[-1]) == (0, units)
    assert len(found) <= 26
    steps = [after - before for before, after in pairwise(found)]
    assert max(steps[: 256 // 32]) <= 32
    assert levels(12, "head") == list(range(13))


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_every_family_has_a_valid_table(
    model_type: str, tiny_checkpoint: Callable[..., Path], cache: Path
) -> None:
    folder = tiny_checkpoint(model_type)
    table = table_for(read_checkpoint(folder), Shape(2, 9), CPU, rounds=3)
    assert LatencyTable.read(table.setting.file) == table  # reading checks that it is monotone
    prices = latency_prices(tiny.sizes(folder), table)
    assert prices.dense == pytest.approx(table.sum_ms)
    assert table.whole_ms > 0
    assert [path.suffix for path in cache.rglob("*") if path.is_file()] == [".json"]


def test_a_cut_folder_gets_the_table_of_its_dense_shapes(bert: Path, tmp_path: Path) -> None:
    masks = tiny.random_masks(tiny.sizes(bert), ("head", "ffn_int"), seed=0)
    cut = tiny.cut(bert, masks, tmp_path / "cut", native="never")
    settings = [sublayer_times.setting_of(read_checkpoint(path), Shape(1, 8), CPU, 1) for path in (bert, cut)]
    assert settings[0] == settings[1]
    assert measure(read_checkpoint(cut), Shape(1, 8), CPU, 1, 3).setting == settings[0]


def test_what_was_measured_is_not_measured_again(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = read_checkpoint(bert)
    first = table_for(checkpoint, Shape(1, 8), CPU, rounds=3)
    with monkeypatch.context() as patch:
        patch.setattr(sublayer_times, "measure", None)
        assert table_for(checkpoint, Shape(1, 8), CPU) == first
    assert table_for(checkpoint, Shape(2, 8), CPU, rounds=3).setting.batch_size == 2


def test_a_cache_that_cannot_be_written_costs_only_time(
    bert: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    (cache / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "file"))
    table = table_for(read_checkpoint(bert), Shape(1, 8), CPU, rounds=3)
    assert not table.setting.file.exists()


def test_the_layer_that_is_timed_has_the_width_that_is_said(bert: Path) -> None:
    """Cut as the tables do, and look at the live linears."""
    encoder = tiny.sizes(bert)
    model = tiny.load(bert)
    sublayer_times._cut(model, encoder, {"head": 3})
    layer = model.base_model.encoder.layer[0]
    assert tuple(layer.attention.self.query.weight.shape) == (3 * encoder.head_size, encoder.hidden)
    assert tuple(layer.intermediate.dense.weight.shape) == (0, encoder.hidden)
    model(**tiny.tiny_inputs(model))
