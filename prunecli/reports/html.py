"""The HTML page of a run: one self-contained file, inline SVG, no script."""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from prunecli.config import TrainMasksConfig
from prunecli.fields import command_line, config_fields, plain, written
from prunecli.masks import prices
from prunecli.reports import charts
from prunecli.reports.templates import fill

UNITS = {
    "head": "attention heads",
    "ffn_int": "intermediate neurons",
    "ffn_out": "FFN output features",
    "ffn_in": "FFN input features",
    "layer": "layers",
    "hidden": "hidden dimensions",
}
ARROW = "\N{RIGHTWARDS ARROW}"
LOGGED = ("loss", "eval_loss", "density", "kept", "sparsity", "quantization", "temperature", "learning_rate")
TILES_A_ROW = 5  # at most; rows are filled evenly
MOST_ROWS = 60  # of the table of logged values, besides evaluations; run.json has them all

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline number: what it is, the number, what to compare it with."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Setting:
    """An option of the run, and its default where the run has another value."""

    name: str
    value: str
    default: str | None


def training_page(record: dict[str, Any]) -> str:
    """Render the page of a `train-masks` record (the content of `run.json`)."""
    result = record["result"]
    bars = charts.bars(result["kept"], result["units"])
    tiles = _tiles(result, bars)
    tile_rows = -(-len(tiles) // TILES_A_ROW)
    out = Path(result["out"])
    pruned = f"pruned-{out.name}"
    return fill(
        "training_page.html",
        record=record,
        result=result,
        name=Path(result["model"]).name,
        tiles=tiles,
        tile_columns=-(-len(tiles) // tile_rows),
        comparison=_comparison(result),
        charts=charts,
        units=UNITS,
        bars=bars,
        layers=max(len(kept) for kept in result["kept"].values()),
        curves=_curves(result),
        log=_log(result),
        settings=_settings(record["config"]),
        next_commands=(
            command_line(["prunecli", "apply-masks", str(out), "--out", pruned]),
            command_line(["prunecli", "verify-automodel", pruned, "--against", str(out)]),
        ),
    )


def _tiles(result: Result, bars: list[charts.BarGroup]) -> list[Tile]:
    metric, masked, dense = result["metric"], result["masked"], result["dense"]
    if dense is None:
        compared = "no dense value: the head was new"
    else:
        compared = f"dense {dense[metric]:.4f}, {_signed(masked[metric] - dense[metric], '.4f')}"
    (flops, left_flops), (parameters, left_parameters) = result["flops"], result["parameters"]
    return [
        Tile(f"{metric}, masked", f"{masked[metric]:.4f}", compared),
        Tile(
            "encoder FLOPs kept",
            f"{left_flops / flops:.1%}",
            f"{flops / 1e6:,.1f} {ARROW} {left_flops / 1e6:,.1f} MFLOPs at {result['tokens']} tokens",
        ),
        Tile(
            "parameters kept",
            f"{left_parameters / parameters:.1%}",
            f"{parameters:,} {ARROW} {left_parameters:,}",
        ),
        *(
            Tile(
                f"density of {group.title}",
                f"{result['density'][group.title]:.1%}",
                f"{group.note} {UNITS[group.title]}",
            )
            for group in bars
        ),
        Tile(
            "training" if result["steps"] else "choosing units",
            _duration(result["seconds"] + result["recovery_seconds"]),
            f"{result['steps']:,} steps",
        ),
    ]


def _comparison(result: Result) -> list[tuple[str, str, str, str]]:
    """Return label, dense value, masked value and change of everything measured."""
    dense = result["dense"]
    rows = []
    for name, value in result["masked"].items():
        before = "new head" if dense is None else f"{dense[name]:.4f}"
        change = "" if dense is None else _signed(value - dense[name], ".4f")
        rows.append((f"{name} on validation", before, f"{value:.4f}", change))
    if result.get("unrecovered"):
        name = result["metric"]
        rows.append((f"{name} before recovery", "", f"{result['unrecovered'][name]:.4f}", ""))
    flops = [count / 1e6 for count in result["flops"]]
    rows.append(_counted(f"encoder MFLOPs at {result['tokens']} tokens", flops, ",.1f"))
    rows.append(_counted("parameters", result["parameters"], ",d"))
    if result["target"] is not None:
        asked, reached = result["target"]["asked"], result["target"]["reached"]
        gates = result["target"]["expected"]
        expected = "" if gates is None else f", {gates:.1%} of the gates"
        rows.append(
            (
                f"budget of {prices.UNITS[result['target']['unit']]}",
                "100%",
                f"{reached:.2%}",
                f"{asked:.1%} asked{expected}",
            )
        )
        if result["target"].get("measured"):
            measured = result["target"]["measured"]
            rows.append(("time of the cut model", "100%", f"{measured:.2%}", f"{1 / measured:.2f} x as fast"))
    if result["refit"] is not None:
        before, after = result["refit"]
        rows.append(("divergence, before and after the refit", f"{before:.4g}", f"{after:.4g}", ""))
    return rows


def _counted(label: str, pair: Sequence[float], form: str) -> tuple[str, str, str, str]:
    before, after = pair
    return label, f"{before:{form}}", f"{after:{form}}", _signed(after / before - 1, ".1%")


def _curves(result: Result) -> list[charts.Curve]:
    history, metric = result["history"], result["metric"]
    if not history:
        return []

    def points(key: str, scale: float = 1.0) -> charts.Points:
        by_step = {entry["step"]: scale * entry[key] for entry in history if key in entry}
        return sorted(by_step.items())

    last = max(entry["step"] for entry in history)
    dense = ("dense", result["dense"][metric]) if result["dense"] is not None else None
    curves = [
        charts.curve("loss", {"training": points("loss"), "validation": points("eval_loss")}, last),
        charts.curve(
            f"{metric} on validation, hard masks", {metric: points(f"eval_{metric}")}, last, reference=dense
        ),
        charts.curve(
            "density, %",
            {"decided": points("density", 100), "mean gate": points("sparsity", 100)},
            last,
            include=(0, 100),
        ),
        charts.curve("temperature", {"temperature": points("temperature")}, last, include=(0,)),
    ]
    return [curve for curve in curves if curve.lines]  # recovery alone has no gates


def _log(result: Result) -> dict[str, Any]:
    """Return the logged values as a table: one row a step; where there are many, some and every evaluation."""
    steps: dict[int, dict[str, float]] = {}
    for entry in result["history"]:
        steps.setdefault(entry["step"], {}).update(entry)
    wanted = [
        name for name in (*LOGGED, f"eval_{result['metric']}") if any(name in row for row in steps.values())
    ]
    every = max(-(-len(steps) // MOST_ROWS), 1)
    shown = [step for number, step in enumerate(steps) if number % every == 0 or "eval_loss" in steps[step]]
    return {
        "columns": [name.replace("eval_", "validation ").replace("_", " ") for name in wanted],
        "rows": [
            (step, [f"{steps[step][name]:.4g}" if name in steps[step] else "" for name in wanted])
            for step in shown
        ],
        "steps": len(steps),
    }


def _settings(config: dict[str, Any]) -> dict[str, list[Setting]]:
    """Return the options by panel, as the command's help shows them."""
    panels: dict[str, list[Setting]] = {}
    for field in config_fields(TrainMasksConfig):
        if field.name in config:
            value, default = config[field.name], field.default
            same = default is MISSING or plain(default) == value
            setting = Setting(field.spelled, written(value), None if same else written(plain(default)))
            panels.setdefault(field.opt.panel, []).append(setting)
    return panels


def _signed(change: float, form: str) -> str:
    return f"{change:+{form}}".replace("-", "\N{MINUS SIGN}")


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"
