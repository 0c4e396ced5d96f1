"""The HTML page of a comparison: one picture of accuracy by FLOPs, and the numbers behind it."""

from pathlib import Path
from typing import Any

from prunecli.reports import charts
from prunecli.reports.templates import fill


def render(record: dict[str, Any]) -> str:
    """Render the page of a `compare` record (the content of `compare.json`)."""
    result = record["result"]
    names = list(dict.fromkeys(point["method"] for point in result["points"]))
    lines: dict[str, charts.Points] = {
        name: [
            (100 * point["reached"], point["mean"])
            for point in sorted(result["points"], key=lambda point: float(point["reached"]))
            if point["method"] == name
        ]
        for name in names
    }
    title = f"{result['metric']} by encoder FLOPs kept, %"
    return fill(
        "compare_page.html",
        record=record,
        result=result,
        name=Path(result["model"]).name,
        curve=charts.curve(title, lines, 100, reference=("dense", result["dense"])),
        charts=charts,
        names=names,
        table=_table(result, names),
    )


def _table(result: dict[str, Any], names: list[str]) -> list[tuple[str, list[str]]]:
    """Return a row a target: what was asked, and each method's mean and spread."""
    rows = []
    for asked in sorted({point["asked"] for point in result["points"]}, reverse=True):
        each = {point["method"]: point for point in result["points"] if point["asked"] == asked}
        spread = " \N{PLUS-MINUS SIGN} {:.4f}" if result["seeds"] > 1 else ""
        cells = [f"{each[name]['mean']:.4f}{spread.format(each[name]['spread'])}" for name in names]
        rows.append((f"{asked:.0%}", cells))
    return rows
