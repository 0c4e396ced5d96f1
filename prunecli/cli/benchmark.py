"""`prunecli benchmark`."""

from pathlib import Path
from typing import TYPE_CHECKING

from prunecli import demo
from prunecli.checkpoints.run_folder import is_run
from prunecli.cli.loading import loading
from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import BenchmarkConfig
from prunecli.errors import ExitCode

if TYPE_CHECKING:
    from prunecli.inference.timing import Spread
    from prunecli.operations.benchmark import BenchmarkResult, Speed, TablesResult


def _run(config: BenchmarkConfig, out: Output) -> ExitCode:
    from prunecli.checkpoints.source import local_model

    for name in (config.checkpoint, config.other):
        local_model(name or config.checkpoint, "")
    out.line("Loading torch and transformers ...")
    with loading():
        from prunecli.operations import benchmark

    with out.progress() as progress:
        result = (benchmark.tables if config.table else benchmark.run)(config, progress)
    if isinstance(result, benchmark.TablesResult):
        _show_tables(result, out)
        out.result(result, quiet=str(config.out or result.files[0] or ""), verb=config.verb)
        return ExitCode.DONE
    _show(result, out)
    first = result.speeds[0]
    headline = first.ms[0].median if first.speedup is None else first.speedup.median
    out.result(result, quiet=f"{headline:.4g}", verb=config.verb)
    return ExitCode.DONE


def _show(result: "BenchmarkResult", out: Output) -> None:
    names = [_named(size.checkpoint) for size in result.sizes]
    rows = [
        ["parameters", *(f"{size.parameters:,}" for size in result.sizes)],
        ["bytes of weight files", *(f"{size.bytes:,}" for size in result.sizes)],
        ["peak memory, MB", *(_megabytes(size.peak_memory) for size in result.sizes)],
    ]
    paired = len(names) == 2
    for letter, name in zip("AB", names, strict=False):
        out.line(f"{letter}: {name}" if paired else name)
    out.table(["", *(["A", "B"] if paired else [""])], rows)
    if paired:
        columns = ["A, ms", "B, ms", "speed-up", "middle half", "by FLOPs"]
    else:
        columns = ["ms", "middle half", "sequences/s"]
    out.table(["batch", "tokens", *columns], [_row(speed) for speed in result.speeds])
    load = "unknown" if result.load is None else f"{result.load:.1f}"
    asked = f"{result.rounds} rounds, threads: {result.threads}, {result.clock} time"
    out.line(f"{asked}, load average {load}, {result.device}")


def _named(checkpoint: Path) -> str:
    """Return what a user calls a folder."""
    if checkpoint == demo.MODEL:
        return demo.NAME
    return f"{checkpoint.parent}, its dense model" if is_run(checkpoint.parent) else str(checkpoint)


def _row(speed: "Speed") -> list[str]:
    times = [f"{spread.median:.2f}" for spread in speed.ms]
    if speed.speedup is None:
        told = [_half(speed.ms[0]), f"{speed.sequences_per_second[0]:,.0f}"]
    else:
        told = [f"{speed.speedup.median:.2f}", _half(speed.speedup), f"{speed.flops_ratio:.2f}"]
    return [str(speed.batch_size), str(speed.tokens), *times, *told]


def _show_tables(result: "TablesResult", out: Output) -> None:
    for table, file in zip(result.tables, result.files, strict=True):
        setting = table.setting
        rows = [
            [group, str(width), f"{ms:.3f}", f"{low:.3f}..{high:.3f}"]
            for group, times in table.sublayers.items()
            for width, ms, low, high in zip(times.widths, times.ms, times.low, times.high, strict=True)
        ]
        title = (
            f"{setting.batch_size} x {setting.tokens} tokens, threads: {setting.threads}, {setting.device}"
        )
        out.table(["sublayer", "units", "ms", "middle half"], rows, title=title)
        out.line(
            f"Whole model {table.whole_ms:.2f} ms, sum of its parts {table.sum_ms:.2f} ms, "
            f"without any unit {table.fixed_ms:.2f} ms" + (f"; kept in {file}" if file else "")
        )


def _half(spread: "Spread") -> str:
    return f"{spread.low:.2f}..{spread.high:.2f}"


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:,.0f}"


VERB = Verb(
    BenchmarkConfig,
    _run,
    "Measure latency, throughput, memory and size of a checkpoint, or of two side by side.",
    (
        "prunecli benchmark ./my-model pruned",
        "prunecli benchmark runs/qqp pruned-qqp --batch-sizes 1 --batch-sizes 32 --lengths 32 --lengths 128",
        "prunecli benchmark pruned-qqp --threads 2 --json",
        "prunecli benchmark ./my-model --table --batch-sizes 1 --lengths 128 --out table.json",
    ),
)
