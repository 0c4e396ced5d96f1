"""`benchmark`: two checkpoints side by side, tables into the cache, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import prunecli
from prunecli.cli.app import app
from prunecli.errors import InputError, TargetExistsError
from prunecli.masks import MaskSet
from prunecli.masks.budget import encoder_flops
from prunecli.masks.latency_table import LatencyTable
from prunecli.operations import benchmark
from tests import tiny

FAST: dict[str, Any] = {"rounds": 3, "lengths": [8], "batch_sizes": [2]}


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Measure no memory, which takes seconds; a cache of its own; a machine that is idle."""
    monkeypatch.setattr(benchmark, "peak_memory", lambda *shape: 12345)
    monkeypatch.setattr(benchmark, "load_average", lambda: 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def cut(bert: Path, tmp_path: Path) -> Path:
    masks = tiny.random_masks(tiny.sizes(bert), ("head", "ffn_int"), seed=0)
    return tiny.cut(bert, masks, tmp_path / "cut", native="never")


def test_a_pair_is_measured_together(bert: Path, cut: Path) -> None:
    result = prunecli.benchmark(bert, cut, **{**FAST, "lengths": [8, 16]})
    assert isinstance(result, benchmark.BenchmarkResult)
    assert [(speed.batch_size, speed.tokens) for speed in result.speeds] == [(2, 8), (2, 16)]
    assert [size.checkpoint for size in result.sizes] == [bert, cut]
    assert result.sizes[0].parameters > result.sizes[1].parameters
    assert result.sizes[0].bytes > result.sizes[1].bytes
    for speed in result.speeds:
        assert speed.flops[0] == encoder_flops(tiny.sizes(bert), MaskSet({}), speed.tokens)
        assert speed.flops_ratio == speed.flops[0] / speed.flops[1] > 1
        assert speed.speedup is not None and 0 < speed.speedup.low <= speed.speedup.median
        assert speed.sequences_per_second[1] == pytest.approx(2000 / speed.ms[1].median)


def test_the_speedup_is_the_median_of_paired_ratios(
    bert: Path, cut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine slows down threefold in the second round: the ratios stay what they are."""
    monkeypatch.setattr(benchmark, "take_turns", lambda *asked: [[8.0, 24.0, 9.0], [4.0, 12.0, 3.0]])
    result = prunecli.benchmark(bert, cut, **FAST)
    assert isinstance(result, benchmark.BenchmarkResult)
    speedup = result.speeds[0].speedup
    assert speedup is not None
    assert (speedup.median, speedup.low, speedup.high) == (2.0, 2.0, 2.5)


def test_one_checkpoint_has_no_speedup(cut: Path) -> None:
    result = prunecli.benchmark(cut, **FAST)
    assert isinstance(result, benchmark.BenchmarkResult)
    assert (result.speeds[0].speedup, result.speeds[0].flops_ratio) == (None, None)
    assert result.threads == 1


def test_the_usual_length_is_what_the_model_takes(bert: Path) -> None:
    result = prunecli.benchmark(bert, rounds=3)
    assert isinstance(result, benchmark.BenchmarkResult)
    assert [(speed.batch_size, speed.tokens) for speed in result.speeds] == [(1, 64), (8, 64)]


def test_a_busy_machine_is_said(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "load_average", lambda: 1e3)
    sizes = ("--rounds", "3", "--lengths", "8", "--batch-sizes", "1", "--json")
    done = CliRunner().invoke(app, ["benchmark", str(bert), *sizes])
    assert "the load average is 1000.0" in done.stderr
    found = json.loads(done.stdout)
    assert (found["busy"], found["load"]) == (True, 1e3)


def test_a_table_that_cannot_be_kept_is_written_all_the_same(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    result = prunecli.benchmark(bert, table=True, out=tmp_path / "table.json", **FAST)
    assert LatencyTable.read(tmp_path / "table.json") == result.tables[0]


def test_a_table_is_kept_and_written(bert: Path, tmp_path: Path) -> None:
    result = prunecli.benchmark(bert, table=True, out=tmp_path / "table.json", **FAST)
    assert isinstance(result, benchmark.TablesResult)
    assert (
        LatencyTable.read(tmp_path / "table.json") == LatencyTable.read(result.files[0]) == result.tables[0]
    )
    with pytest.raises(TargetExistsError):
        prunecli.benchmark(bert, table=True, out=tmp_path / "table.json", **FAST)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lengths": [65]}, "takes? 64 tokens at most"),
        ({"out": Path("x.json")}, "--out is for the latency table"),
        ({"table": True, "other": "x"}, "one checkpoint, but two"),
        ({"table": True, "out": Path("x.json"), "batch_sizes": [1, 2]}, "one table, but 2"),
        ({"lengths": [65], "table": True}, "takes? 64 tokens at most"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str, bert: Path) -> None:
    with pytest.raises(InputError, match=said):
        prunecli.benchmark(bert, **{**FAST, **options})


@pytest.mark.parametrize("words", [(), ("--table",)])
def test_json_is_one_object_on_standard_output(words: tuple[str, ...], bert: Path) -> None:
    sizes = ("--rounds", "3", "--lengths", "8", "--batch-sizes", "1", "--json")
    done = CliRunner().invoke(app, ["benchmark", str(bert), *words, *sizes])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["schema_version"], found["verb"]) == (1, "benchmark")
    if words:
        assert found["tables"][0]["sublayers"]["head"]["widths"] == [0, 1, 2, 3, 4]
    else:
        assert found["speeds"][0]["ms"][0].keys() == {"median", "low", "high"}


def test_people_see_a_table_and_scripts_one_number(bert: Path, cut: Path) -> None:
    sizes = ("--rounds", "3", "--lengths", "8", "--batch-sizes", "1")
    shown = CliRunner().invoke(app, ["benchmark", str(bert), str(cut), *sizes]).stderr
    assert "speed-up" in shown and "by FLOPs" in shown and "peak memory" in shown
    quiet = CliRunner().invoke(app, ["benchmark", str(bert), str(cut), *sizes, "-q"])
    assert float(quiet.stdout) > 0
