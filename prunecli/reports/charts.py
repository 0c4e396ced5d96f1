"""Where the marks of a picture stand; the template draws them as inline SVG.

All positions are in the picture's own units, x to the right and y down, as SVG has them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

Points = Sequence[tuple[float, float]]  # (step, value)

CURVE_WIDTH, CURVE_HEIGHT = 440, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 60, 14, 30  # margins of a curve: numbers stand there
MOST_POINTS = 300  # of a line; longer ones are averaged
MOST_DOTS = 12  # points of a line that are dotted one by one
LABEL_HEIGHT = 14  # two labels closer than this would overlap

BARS_WIDTH, LABELS_WIDTH, NUMBER_WIDTH, LONGEST_BAR = 920, 62, 58, 560
HEADER_HEIGHT, ROW_HEIGHT = 58, 24


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to draw at a place.

    Attributes:
        x: Place.
        y: Place.
        label: What is written there.
    """

    x: float
    y: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a curve.

    Attributes:
        name: What it shows.
        path: Its points, as SVG's `polyline` takes them.
        dots: Its points one by one, where they are few enough to be seen.
        last: Where its last value is written.
        said: First and last value in words, for those who hear the page.
    """

    name: str
    path: str
    dots: tuple[Mark, ...]
    last: Mark
    said: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Values by step.

    Attributes:
        title: What the values are.
        lines: The series.
        x_ticks: Numbers along the steps.
        y_ticks: Numbers along the values.
        reference: A level to compare with; its label says what it is.
    """

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Mark, ...]
    y_ticks: tuple[Mark, ...]
    reference: Mark | None


@dataclass(frozen=True, slots=True)
class BarGroup:
    """The kept units of one group, a bar a layer.

    Attributes:
        x: Where the column begins.
        full: Length of a bar with all units.
        title: The group.
        note: What is kept of it in all.
        bars: End of each layer's bar, with the number of kept units.
    """

    x: float
    full: float
    title: str
    note: str
    bars: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Axes:
    """What a curve's corners stand for: step 0 and `last_step`, `low` and `high` values."""

    last_step: float
    low: float
    high: float

    def place(self, step: float, value: float, label: str = "") -> Mark:
        """Return where a value stands."""
        x = LEFT + (CURVE_WIDTH - LEFT - RIGHT) * step / self.last_step
        up = (value - self.low) / (self.high - self.low)
        return Mark(round(x, 1), round(CURVE_HEIGHT - BOTTOM - (CURVE_HEIGHT - TOP - BOTTOM) * up, 1), label)


def curve(
    title: str,
    series: dict[str, Points],
    last_step: int,
    include: Sequence[float] = (),
    reference: tuple[str, float] | None = None,
) -> Curve:
    """Lay out values by step; those that are not finite are left out.

    Args:
        title: What the values are.
        series: Points of each line, steps ascending.
        last_step: Where the axis of the steps ends, at least 1.
        include: Values that the other axis has to reach.
        reference: Name and value of a level to compare with.
    """
    finite = {name: [point for point in points if math.isfinite(point[1])] for name, points in series.items()}
    level = reference if reference is not None and math.isfinite(reference[1]) else None
    values = [
        *include,
        *(value for points in finite.values() for _, value in points),
        *([level[1]] if level else []),
    ]
    numbers = ticks(min(values, default=0), max(values, default=1))
    axes = Axes(last_step, numbers[0], numbers[-1])
    steps = [step for step in ticks(0, last_step) if step <= last_step and step == int(step)]
    return Curve(
        title,
        _apart([_line(name, points, axes) for name, points in finite.items() if points]),
        tuple(axes.place(step, axes.low, f"{step:,.0f}") for step in steps),
        tuple(axes.place(0, value, _number(value, numbers[1] - numbers[0])) for value in numbers),
        axes.place(0, level[1], f"{level[0]} {level[1]:.4g}") if level else None,
    )


def bars(kept: dict[str, list[int]], units: dict[str, int]) -> list[BarGroup]:
    """Lay out the kept units: a row a layer, a column a group."""
    groups = []
    width = (BARS_WIDTH - LABELS_WIDTH) / max(len(kept), 1)
    for number, (group, layers) in enumerate(kept.items()):
        x, full = LABELS_WIDTH + number * width, min(width - NUMBER_WIDTH, LONGEST_BAR)
        total = units[group] * len(layers)
        marks = [
            Mark(round(x + full * count / units[group], 1), HEADER_HEIGHT + row * ROW_HEIGHT, f"{count:,}")
            for row, count in enumerate(layers)
        ]
        note = f"{sum(layers):,} of {total:,}"
        groups.append(BarGroup(round(x, 1), round(full, 1), group, note, tuple(marks)))
    return groups


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers that span a range: steps of 1, 2 or 5 times a power of ten."""
    if high <= low:
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * most >= (high - low) * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def thinned(points: Points) -> Points:
    """Return at most `MOST_POINTS` points: means of neighbours where there are more."""
    size = -(-len(points) // MOST_POINTS)
    if size <= 1:
        return points
    parts = (points[start : start + size] for start in range(0, len(points), size))
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _number(value: float, step: float) -> str:
    """Write a tick's number with as many decimals as the step between ticks needs."""
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def _line(name: str, points: Points, axes: Axes) -> Line:
    (first_step, first_value), (last_step, last_value) = points[0], points[-1]
    marks = tuple(axes.place(*point) for point in thinned(points))
    return Line(
        name,
        " ".join(f"{mark.x},{mark.y}" for mark in marks),
        marks if len(marks) <= MOST_DOTS else (),
        axes.place(last_step, last_value, f"{last_value:.4g}"),
        f"{name} {first_value:.4g} at step {first_step:,.0f}, {last_value:.4g} at step {last_step:,.0f}",
    )


def _apart(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Move the labels at the right edge up until none overlaps the one below it, or what stands under the axis."""
    free: float = CURVE_HEIGHT - BOTTOM - 1
    moved = {}
    for line in sorted(lines, key=lambda line: -line.last.y):
        y = min(line.last.y, free)
        moved[line.name] = replace(line, last=replace(line.last, y=y))
        free = y - LABEL_HEIGHT
    return tuple(moved[line.name] for line in lines)
