"""The HTML page of a run: complete for every shape of run, self-contained, escaped, with readable axes."""

import itertools
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.run_folder import read_result
from prunecli.checkpoints.strict_json import write_json
from prunecli.config import TrainMasksConfig
from prunecli.operations.train_masks import TrainMasksResult
from prunecli.reports import charts, html, run_record
from prunecli.training.outcome import finished

UNITS = {"head": 12, "ffn_int": 3072, "ffn_out": 768, "ffn_in": 768}
VOID = {"meta", "link", "br", "img", "input"}


def history(steps: int) -> list[dict[str, float]]:
    """Return what a run of so many logged steps has, with an evaluation each tenth of them."""
    logged: list[dict[str, float]] = []
    for step in range(1, steps + 1):
        gates = {"density": 1 - step / steps / 2, "sparsity": 0.9 - 0.4 * step / steps, "quantization": 0.3}
        logged.append({"step": step, "loss": 1 / step, "temperature": 5 - 4.9 * step / steps, **gates})
        if step % max(steps // 10, 1) == 0:
            logged.append({"step": step, "eval_loss": 0.6, "eval_accuracy": 0.7 + 0.1 * step / steps})
    return logged


def record(
    layers: int = 6,
    groups: tuple[str, ...] = ("ffn_int",),
    options: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return the record of a made-up run, as `run.json` has it."""
    config = TrainMasksConfig.of({"model": "bert-base-uncased", "task": "qqp", **(options or {})})
    kept = {group: [UNITS[group] * layer // layers for layer in range(layers)] for group in groups}
    result: dict[str, Any] = {
        "out": config.out_folder, "model": config.model, "task": "qqp", "method": config.method_name,
        "metric": "accuracy", "target": None, "refit": None, "recovery_seconds": 0.0,
        "dense": {"accuracy": 0.9109}, "masked": {"accuracy": 0.9034}, "new_parameters": (),
        "density": {group: sum(row) / UNITS[group] / layers for group, row in kept.items()},
        "kept": kept, "units": {group: UNITS[group] for group in groups}, "tokens": 30,
        "flops": (2_000_000_000, 500_000_000), "parameters": (109_483_778, 81_000_000),
        "steps": 250, "seconds": 3725.0, "history": history(50),
    }  # fmt: skip
    written: dict[str, Any] = json.loads(
        json.dumps(run_record.record(config, TrainMasksResult(**{**result, **changes})))
    )
    return written


class Checker(HTMLParser):
    """Notes tags that are not closed in order, and everything that would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(page: str) -> Checker:
    """Parse a page; fail where a tag is not closed, or a picture is not well-formed."""
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(picture)
        assert "nan" not in picture and "inf" not in picture
    return checker


RUNS = {
    "plain": record(),
    "new head": record(dense=None, new_parameters=("classifier.weight", "classifier.bias")),
    "nothing logged": record(history=[]),
    "one step": record(history=history(1)),
    "one layer": record(layers=1),
    "24 layers, 4 groups": record(layers=24, groups=tuple(UNITS)),
    "long": record(history=history(5000)),
    "no evaluation": record(history=[entry for entry in history(20) if "loss" in entry]),
    "dense metric is NaN": record(dense={"accuracy": math.nan}),
    "loss is NaN": record(history=[{**entry, "loss": math.nan} for entry in history(20)]),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_run_has_a_whole_page_that_loads_nothing(run: dict[str, Any]) -> None:
    page = html.training_page(run)
    checker = checked(page)
    assert checker.loads == []
    assert not checker.seen & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"http|url\(|@import", page)


def test_the_headline_numbers_are_there() -> None:
    page = html.training_page(record())
    for number in (
        "0.9034",
        "0.9109",
        "\u22120.0075",
        "25.0%",
        "2,000.0",
        "500.0",
        "74.0%",
        "81,000,000",
        "1 h 2 min",
        "250 steps",
    ):
        assert number in page
    assert "7,680 of 18,432 intermediate neurons" in page


def test_names_are_escaped_everywhere() -> None:
    attack = "<script>alert(1)</script>"
    run = record(options={"model": attack, "name": '"><img src=x>', "text_columns": "<b>"}, task="<i>")
    run["command"], run["versions"]["torch"] = f"prunecli train-masks '{attack}'", "<u>"
    checker = checked(html.training_page(run))
    assert not checker.seen & {"script", "img", "b/", "i", "u"}
    assert "&lt;script&gt;alert(1)" in html.training_page(run)


def test_a_new_head_has_no_dense_value() -> None:
    page = html.training_page(RUNS["new head"])
    assert "no dense value: the head was new" in page
    assert "Trained from scratch: classifier.weight, classifier.bias." in page


def test_each_layer_of_each_group_has_its_number_in_picture_and_table() -> None:
    page = html.training_page(RUNS["24 layers, 4 groups"])
    assert page.count('<rect class="kept"') == 24 * 4
    assert "layer 23" in page
    assert "2,944 of 3,072" in page


def test_changed_options_are_marked_with_their_default() -> None:
    page = html.training_page(record(options={"masks_lr": 0.02, "freeze": True, "learn_masks": "all"}))
    changed = re.findall(r'<tr class="changed">.*?<code>(.*?)</code>.*?default: (.*?)<', page)
    assert changed == [("--learn-masks", "not set"), ("--masks-lr", "not set"), ("--freeze", "off")]


def test_the_next_command_can_be_pasted() -> None:
    page = html.training_page(record(options={"out": "runs/my run"}))
    assert "prunecli apply-masks &#39;runs/my run&#39; --out &#39;pruned-my run&#39;" in page


def test_a_long_log_is_thinned_but_keeps_every_evaluation() -> None:
    page = html.training_page(RUNS["long"])
    assert len(page) < 100_000
    table = page[page.index("logged steps; run.json has all") :]
    assert (
        len(re.findall(r"<tr><th scope=\"row\">\d+</th>(?:<td>.*?</td>)*<td>0\.\d+</td></tr>", table)) >= 10
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0.7, 0.81, [0.7, 0.75, 0.8, 0.85]),
    ],
)
def test_ticks_are_round_and_span_the_range(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 3.0, -2.5, 1e-9])
def test_a_constant_has_an_axis_too(value: float) -> None:
    found = charts.ticks(value, value)
    assert found[0] < value < found[-1]


def test_values_stand_between_their_ticks() -> None:
    curve = charts.curve("loss", {"training": [(0, 0.5), (10, 0.3)]}, last_step=10)
    first, last = (tuple(map(float, point.split(","))) for point in curve.lines[0].path.split())
    assert (first[0], last[0]) == (charts.LEFT, charts.CURVE_WIDTH - charts.RIGHT)
    assert first[1] < last[1], "y grows downwards, so the higher value stands higher"
    by_label = {tick.label: tick.y for tick in curve.y_ticks}
    assert by_label["0.50"] == first[1]
    assert by_label["0.30"] == last[1]


def test_labels_at_the_edge_do_not_overlap() -> None:
    curve = charts.curve("density", {"a": [(1, 50)], "b": [(1, 50.1)], "c": [(1, 50.2)]}, last_step=1)
    places = sorted(line.last.y for line in curve.lines)
    assert all(below - above >= charts.LABEL_HEIGHT for above, below in itertools.pairwise(places))


def test_thinned_points_keep_their_mean() -> None:
    points = charts.thinned([(step, float(step)) for step in range(10_000)])
    assert len(points) <= charts.MOST_POINTS
    assert sum(value for _, value in points) / len(points) == pytest.approx(4999.5, rel=0.01)


def test_a_budget_and_a_refit_are_shown() -> None:
    budget = {"unit": "flops", "asked": 0.3, "expected": 0.31, "reached": 0.2999}
    page = html.training_page(record(target=budget, refit=(0.21, 0.02), history=[]))
    assert "budget of FLOPs" in page and "29.99%" in page and "30.0% asked" in page
    assert "0.21" in page and "0.02" in page


@pytest.mark.parametrize("steps", [2, 20, 5000])
def test_every_curve_is_drawn_however_long(steps: int) -> None:
    page = html.training_page(record(history=history(steps)))
    for title in ("loss", "accuracy on validation, hard masks", "density, %", "temperature"):
        assert f">{title}<" in page
    without_gates = [entry for entry in history(steps) if "eval_loss" in entry]
    assert ">temperature<" not in html.training_page(record(history=without_gates))


def test_a_number_that_is_none_is_null_in_the_file_nan_again_when_read_and_left_out_of_the_page(
    tmp_path: Path,
) -> None:
    run = record(
        history=[{"step": 1, "loss": math.inf}, {"step": 2, "loss": 0.5}], masked={"accuracy": math.nan}
    )
    write_json(tmp_path / "run.json", run)
    assert strict_json.read_object(tmp_path / "run.json")["result"]["history"][0]["loss"] is None
    assert math.isnan(read_result(tmp_path)["masked"]["accuracy"])
    assert math.isnan(finished(tmp_path).masked["accuracy"])
    checked(html.training_page(run))
