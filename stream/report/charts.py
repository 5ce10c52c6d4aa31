"""Charts as inline SVG, drawn by hand so that the page needs no library and no network.

Every function returns one `<svg>` element with a title and a description, coloured by the classes of `report.css`. Text
is escaped here; numbers that are not finite are left out. A chart without data says so instead of drawing axes.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise

Point = tuple[float, float]

WIDTH, HEIGHT = 440, 250  # user units; about a phone's width, so that text of 12 units stays readable there
LEFT, RIGHT, TOP, BOTTOM = 46, 428, 14, 206
MOST_POINTS = 300  # a line: more than a screen can show, and keeps a page of a long run small
MOST_BARS = 18  # columns of a histogram


@dataclass(frozen=True, slots=True)
class Line:
    """A named series; `style` is a class of `report.css` (`s0` to `s5`, `ensemble`, `bound`)."""

    name: str
    style: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Axis:
    """Values `low` to `high` laid over the user units `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The position of a value, held inside the axis, rounded to a tenth of a unit."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Three to six round numbers within the axis."""
        step = nice_step((self.high - self.low) / 4)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class LogAxis(Axis):
    """The same, of the logarithm of 1 + |value| with the value's sign: `low` and `high` are such logarithms."""

    def at(self, value: float) -> float:
        """The position of a value, as of any axis."""
        return Axis.at(self, signed_log(value))

    def ticks(self) -> list[float]:
        """0 and powers of ten of either sign, every second or third power where there are many."""
        powers = math.ceil(max(abs(self.low), abs(self.high)) + 1e-9)
        step = max(1, math.ceil(powers / 4))
        rising = [10.0**power for power in range(step - 1 if step > 1 else 0, powers, step)]
        every = [*(-value for value in reversed(rising)), 0.0, *rising]
        return [value for value in every if self.low <= signed_log(value) <= self.high]


def signed_log(value: float) -> float:
    """log10(1 + |value|) with the sign of the value: a logarithm that knows 0 and what is below it."""
    return math.copysign(math.log10(1.0 + abs(value)), value)


def nice_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `rough` (> 0)."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))


def tick_text(value: float) -> str:
    """A tick's label, short: `0`, `0.25`, `1.5k`."""
    if abs(value) >= 1000:
        return f"{value / 1000:g}k"
    return f"{round(value, 6):g}"


def line_chart(
    chart_id: str,
    title: str,
    description: str,
    lines: Iterable[Line],
    x_label: str,
    y_range: Point | None = None,
    y_log: bool = False,
) -> str:
    """Lines over a common x. The y axis fits the data and contains 0 unless `y_range` is given; with `y_log` it is a
    `LogAxis`, for lines of very different sizes."""
    drawn = [(line, thinned(finite(line.points))) for line in lines]
    every = [point for _, points in drawn for point in points]
    if not every:
        return empty(chart_id, title, description)
    x = Axis(*spread(min(p[0] for p in every), max(p[0] for p in every)), LEFT, RIGHT)
    low, high = min(0.0, *(p[1] for p in every)), max(0.0, *(p[1] for p in every))
    if y_log:
        y: Axis = LogAxis(*spread(signed_log(low), signed_log(high)), BOTTOM, TOP)
    else:
        y = Axis(*(y_range or spread(low, high)), BOTTOM, TOP)
    body = [_grid(x, y, x_label)]
    for line, points in drawn:
        body += _line(line, [(x.at(a), y.at(b)) for a, b in points])
    return _svg(chart_id, title, description, body)


def histogram(chart_id: str, title: str, description: str, values: Sequence[float], x_label: str) -> str:
    """How many of the values (>= 0) fall into each of up to 18 equal bins."""
    counted = [value for value in values if math.isfinite(value)]
    if not counted:
        return empty(chart_id, title, description)
    step = nice_step((max(counted) or 1.0) / MOST_BARS)
    bins = [0] * (math.floor(max(counted) / step) + 1)
    for value in counted:
        bins[max(0, math.floor(value / step))] += 1
    x, y = Axis(0.0, len(bins) * step, LEFT, RIGHT), Axis(0.0, max(bins) * 1.05, BOTTOM, TOP)
    body = [_grid(x, y, x_label)]
    for number, count in enumerate(bins):
        if count:
            left, right, top = x.at(number * step) + 1, x.at((number + 1) * step) - 1, y.at(count)
            hint = f"{tick_text(number * step)} to {tick_text((number + 1) * step)}: {count}"
            body.append(_rect("bar", left, top, right - left, BOTTOM - top, hint))
    return _svg(chart_id, title, description, body)


def stacked_bars(chart_id: str, title: str, description: str, rows: Mapping[str, Mapping[str, int]]) -> str:
    """One horizontal bar a row, split into its classes; the bars' lengths compare the rows' totals."""
    totals = {name: sum(parts.values()) for name, parts in rows.items()}
    if not any(totals.values()):
        return empty(chart_id, title, description)
    row_height = 40
    height = TOP + row_height * len(rows)
    scale = Axis(0.0, max(totals.values()), 12, RIGHT)
    body: list[str] = []
    for number, (name, parts) in enumerate(rows.items()):
        top, left = TOP + number * row_height, 12.0
        body.append(f'<text x="12" y="{top + 10}">{escape(name)}</text>')
        body.append(f'<text x="{RIGHT}" y="{top + 10}" class="end">{totals[name]}</text>')
        for part, count in parts.items():
            width = scale.at(count) - 12.0
            if count:
                body.append(_rect(f"label-{part}", left, top + 15, max(1.0, width - 1), 14, f"{part}: {count}"))
            left += width
    return _svg(chart_id, title, description, body, height)


@dataclass(frozen=True, slots=True)
class Bin:
    """The scores of one tenth of [0, 1]: how many, their mean, and the share of them that people called unsafe."""

    count: int
    mean_score: float
    share: float


def reliability_bins(pairs: Iterable[tuple[float, bool]], bins: int = 10) -> list[Bin]:
    """Group (score, called unsafe) into equal widths of score; empty bins and scores outside [0, 1] are left out."""
    usable = sorted((score, unsafe) for score, unsafe in pairs if 0.0 <= score <= 1.0)
    grouped = groupby(usable, key=lambda pair: min(bins - 1, int(pair[0] * bins)))
    return [_bin(list(members)) for _, members in grouped]


def reliability_chart(chart_id: str, title: str, description: str, bins: Sequence[Bin]) -> str:
    """Mean score against the share called unsafe; on the diagonal a score is a probability. Area shows the count."""
    if not bins:
        return empty(chart_id, title, description)
    x, y = Axis(0.0, 1.0, LEFT, RIGHT), Axis(0.0, 1.0, BOTTOM, TOP)
    most = max(each.count for each in bins)
    body = [_grid(x, y, "mean score"), _segment("ideal", (x.at(0), y.at(0)), (x.at(1), y.at(1)))]
    places = [(x.at(each.mean_score), y.at(each.share)) for each in bins]
    body += [_segment("series ensemble", before, after) for before, after in pairwise(places)]
    for each, (left, top) in zip(bins, places, strict=True):
        radius = round(3 + 6 * math.sqrt(each.count / most), 1)
        hint = f"{each.count} turns, mean score {each.mean_score:.2f}, called unsafe {each.share:.0%}"
        body.append(f'<circle class="dot ensemble" cx="{left}" cy="{top}" r="{radius}"><title>{hint}</title></circle>')
    return _svg(chart_id, title, description, body)


def empty(chart_id: str, title: str, description: str) -> str:
    """A chart's place when there is nothing to draw."""
    return _svg(chart_id, title, description, [f'<text x="{WIDTH / 2}" y="60" class="mid">no data yet</text>'], 110)


def finite(points: Iterable[Point]) -> list[Point]:
    """The points of which both numbers are finite."""
    return [point for point in points if all(map(math.isfinite, point))]


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """About `most` points, evenly picked, the last one always among them."""
    step = max(1, math.ceil(len(points) / most))
    return [*points[:-1:step], *points[-1:]]


def spread(low: float, high: float) -> Point:
    """A range that is never empty, with a little air above and, below zero, beneath."""
    if high - low < 1e-9:
        return low, low + 1.0
    air = 0.04 * (high - low)
    return (low - air if low < 0 else low), high + air


def _bin(members: Sequence[tuple[float, bool]]) -> Bin:
    count = len(members)
    return Bin(count, sum(score for score, _ in members) / count, sum(unsafe for _, unsafe in members) / count)


def _grid(x: Axis, y: Axis, x_label: str) -> str:
    parts = []
    for value in y.ticks():
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y.at(value)}" x2="{RIGHT}" y2="{y.at(value)}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y.at(value) + 4}" class="end">{tick_text(value)}</text>')
    for value in x.ticks():
        parts.append(f'<text x="{x.at(value)}" y="{BOTTOM + 18}" class="mid">{tick_text(value)}</text>')
    zero = y.at(max(y.low, 0.0))
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{zero}" x2="{RIGHT}" y2="{zero}"/>')
    parts.append(f'<text x="{RIGHT}" y="{BOTTOM + 38}" class="end faint">{escape(x_label)}</text>')
    return "".join(parts)


def _line(line: Line, places: Sequence[Point]) -> list[str]:
    if not places:
        return []
    path = " ".join(f"{left},{top}" for left, top in places)
    left, top = places[-1]
    hint = f"<title>{escape(line.name)}</title>"
    return [
        f'<polyline class="series {line.style}" points="{path}">{hint}</polyline>',
        f'<circle class="dot {line.style}" cx="{left}" cy="{top}" r="3">{hint}</circle>',
    ]


def _rect(style: str, left: float, top: float, width: float, height: float, hint: str) -> str:
    place = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{escape(style)}" {place} rx="2"><title>{escape(hint)}</title></rect>'


def _segment(style: str, start: Point, end: Point) -> str:
    return f'<line class="{style}" x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}"/>'


def _svg(chart_id: str, title: str, description: str, body: Iterable[str], height: float = HEIGHT) -> str:
    name = escape(chart_id)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
        f"{''.join(body)}</svg>"
    )
