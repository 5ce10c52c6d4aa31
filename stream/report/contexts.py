"""What the ensemble learned of each context, as the parts of a page: tiles, a table, and charts."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from stream.report.charts import Line, finite, histogram, line_chart, reliability_bins, reliability_chart, thinned
from stream.report.page import figure, number, table

COLOURS = 6  # classes s0 to s5 of the style sheet, told apart also by their dashes
OPEN_CONTEXTS = 4  # the busiest contexts are unfolded, the rest one click away: a tenant-rich run stays readable
TABLE_ROWS = 12  # a chart's table shows this many of its rounds
REGRET_IN_WORDS = """Regret is the ensemble&#8217;s loss minus an expert&#8217;s over the rounds in which that expert
was awake. It stays under its bound (Cesa-Bianchi &amp; Lugosi, 2006) unless
there is a bug or a wrong label stream."""
FAR = 20.0  # times the largest regret: from here on the bound would press the regrets into one line
UNITS = (("seconds", 1.0), ("minutes", 60.0), ("hours", 3600.0), ("days", 86400.0))
UNIT_FITS = 200.0  # of one unit are still read easily; more of it is told in the next


@dataclass(frozen=True, slots=True)
class WeightsPoint:
    """What the ensemble believed of a context at one moment. Maps are by expert id (`name@version`).

    `at`: seconds since the start; `rounds`: labelled turns so far; `loss`, `ensemble_loss`, `regret` and `bound`
    are sums over those rounds. `policy`: how the tenant reads labels; `alarm`: regret exceeded its bound.
    """

    context: str
    at: float
    rounds: int
    weights: Mapping[str, float]
    regret: Mapping[str, float]
    bound: float
    loss: Mapping[str, float]
    ensemble_loss: float
    policy: str = ""
    alarm: bool = False


def by_context(points: Iterable[WeightsPoint]) -> dict[str, list[WeightsPoint]]:
    """The points of each context, the context with the most labelled turns first."""
    grouped: dict[str, list[WeightsPoint]] = {}
    for point in points:
        grouped.setdefault(point.context, []).append(point)
    return dict(sorted(grouped.items(), key=lambda item: (-item[1][-1].rounds, item[0])))


def styles_of(points: Iterable[WeightsPoint]) -> dict[str, str]:
    """A style for every expert id, the same in all charts; beyond six experts the styles repeat."""
    ids = sorted({expert for point in points for expert in point.weights})
    return {expert: f"s{place % COLOURS}" for place, expert in enumerate(ids)}


def worst_regret(point: WeightsPoint) -> float:
    """Regret to the best expert: the largest of the finite regrets, NaN without any."""
    return max((regret for regret in point.regret.values() if math.isfinite(regret)), default=math.nan)


def loss_tile(last: Sequence[WeightsPoint]) -> tuple[str, str, str, str]:
    rounds = sum(point.rounds for point in last)
    if not rounds:
        return "Loss a label", "–", "nothing learned yet", ""
    totals: dict[str, float] = {}
    for point in last:
        for expert, loss in point.loss.items():
            totals[expert] = totals.get(expert, 0.0) + loss
    ensemble = sum(point.ensemble_loss for point in last) / rounds
    best = min(totals, key=lambda expert: totals[expert], default="")
    more = f"best single expert: {number(totals[best] / rounds)} ({best})" if best else "no expert was awake"
    return "Loss a label", number(ensemble), more, ""


def regret_tile(last: Sequence[WeightsPoint]) -> tuple[str, str, str, str]:
    shares = [(worst_regret(point) / point.bound, point) for point in last if 0 < point.bound < math.inf]
    known = [(share, point) for share, point in shares if math.isfinite(share)]
    if not known:
        return "Regret, of its bound", "–", "nothing learned yet", ""
    share, point = max(known, key=lambda pair: pair[0])
    alarm = any(each.alarm for each in last)
    more = f"{'ALARM: above its bound' if alarm else 'highest'}, in {point.context}"
    return "Regret, of its bound", f"{round(share, 2) + 0.0:.0%}", more, "bad" if alarm or share > 1 else "good"


def unit_of(seconds: float) -> tuple[str, float]:
    """The unit in which such a time is read easily, and its seconds."""
    return next((unit for unit in UNITS if seconds <= UNIT_FITS * unit[1]), UNITS[-1])


def legend(styles: Mapping[str, str], ensemble: bool = True) -> str:
    """What each style of a line stands for: the experts' and, unless told otherwise, the ensemble's and its bound's."""
    keys = [*styles.items(), *([("ensemble", "ensemble"), ("bound", "bound")] if ensemble else [])]
    swatch = '<svg viewBox="0 0 26 10" aria-hidden="true"><line class="series {}" x1="1" y1="5" x2="25" y2="5"/></svg>'
    return (
        f'<ul class="legend">{"".join(f"<li>{swatch.format(style)}{escape(name)}</li>" for name, style in keys)}</ul>'
    )


def context_charts(
    name: str,
    points: Sequence[WeightsPoint],
    styles: Mapping[str, str],
    place: int,
    prefix: str = "",
    over_time: bool = False,
) -> str:
    """Weights, losses and regret of one context, unfolded if its `place` is among the first. `prefix` keeps the ids of
    charts apart where one context is shown twice; `over_time` draws weights over the time of the data."""
    last = points[-1]
    charts = (
        _weights_chart(f"{prefix}weights-{place}", name, points, styles, over_time),
        _loss_chart(f"{prefix}loss-{place}", name, points, styles),
        _regret_chart(f"{prefix}regret-{place}", name, points, styles),
    )
    shown = " open" if place < OPEN_CONTEXTS else ""
    return (
        f'<details class="context"{shown}><summary>{escape(name)} <span class="faint">{last.rounds:,} labelled turns'
        f'</span></summary><div class="charts">{"".join(charts)}</div></details>'
    )


def _weights_chart(
    chart_id: str, name: str, points: Sequence[WeightsPoint], styles: Mapping[str, str], over_time: bool
) -> str:
    lines = drawn = _lines(points, styles, lambda point: point.weights)
    label = "labelled turns"
    if over_time:
        unit, seconds = unit_of(points[-1].at)
        label = f"{unit} since the first turn"
        drawn = _lines(points, styles, lambda point: point.weights, lambda point: point.at / seconds)
    description = f"The weight of each expert in {name} over its {label}, from 0 to 1."
    chart = line_chart(chart_id, f"Weights in {name}", description, drawn, label, (0.0, 1.0))
    return figure("Weight of each expert", "who is believed", chart, _series_table(points, lines))


def _loss_chart(chart_id: str, name: str, points: Sequence[WeightsPoint], styles: Mapping[str, str]) -> str:
    together = [(float(point.rounds), point.ensemble_loss) for point in points]
    lines = [*_lines(points, styles, lambda point: point.loss), Line("ensemble", "ensemble", together)]
    description = f"The cumulative loss of each expert and of the ensemble in {name}; lower is better."
    chart = line_chart(chart_id, f"Cumulative loss in {name}", description, lines, "labelled turns")
    return figure("Cumulative loss", "lower is better", chart, _series_table(points, lines))


def _regret_chart(chart_id: str, name: str, points: Sequence[WeightsPoint], styles: Mapping[str, str]) -> str:
    bound = Line("bound", "bound", [(float(point.rounds), point.bound) for point in points])
    lines = [*_lines(points, styles, lambda point: point.regret), bound]
    description = f"The ensemble's regret to each expert in {name}, and the bound that it must stay under."
    far = _largest([bound]) > FAR * _largest(lines[:-1])
    chart = line_chart(chart_id, f"Regret and its bound in {name}", description, lines, "labelled turns", y_log=far)
    subtitle = f"below 0 the ensemble was the better one{'; logarithmic, the bound is far' if far else ''}"
    return figure("Regret to each expert", subtitle, chart, _series_table(points, lines))


def _largest(lines: Sequence[Line]) -> float:
    return max((abs(value) for line in lines for _, value in finite(line.points)), default=0.0)


def _lines(
    points: Sequence[WeightsPoint],
    styles: Mapping[str, str],
    read: Callable[[WeightsPoint], Mapping[str, float]],
    x: Callable[[WeightsPoint], float] = lambda point: float(point.rounds),
) -> list[Line]:
    series = {expert: [(x(p), read(p)[expert]) for p in points if expert in read(p)] for expert in styles}
    return [Line(expert, styles[expert], values) for expert, values in series.items() if values]


def _series_table(points: Sequence[WeightsPoint], lines: Sequence[Line]) -> str:
    """Some rounds of the chart's lines in figures, for those who cannot see it."""
    by_line = [dict(finite(line.points)) for line in lines]
    rounds = sorted({float(point.rounds) for point in points})
    picked = thinned([(each, each) for each in rounds], TABLE_ROWS)
    rows = [[f"{each:g}", *(number(values.get(each, math.nan)) for values in by_line)] for each, _ in picked]
    return table(["labelled turns", *(line.name for line in lines)], rows)


def contexts_table(contexts: Mapping[str, Sequence[WeightsPoint]]) -> str:
    """How each context stands at its last point."""
    if not contexts:
        return '<p class="faint">No context has learned from a label yet.</p>'
    head = ["context", "policy", "labelled", "leader", "weight", "loss", "best expert", "regret", "bound", "state"]
    rows = [_context_row(points[-1]) for points in contexts.values()]
    return f'<div class="card">{table(head, rows)}</div>'


def _context_row(point: WeightsPoint) -> list[str]:
    known = {expert: weight for expert, weight in point.weights.items() if math.isfinite(weight)}
    leader = max(known, key=lambda expert: known[expert], default="–")
    best = min((loss for loss in point.loss.values() if math.isfinite(loss)), default=math.nan)
    state = "ALARM" if point.alarm else "under its bound"
    figures = [number(value) for value in (known.get(leader, math.nan), point.ensemble_loss, best)]
    limits = [number(worst_regret(point)), number(point.bound)]
    return [point.context, point.policy or "–", f"{point.rounds:,}", leader, *figures, *limits, state]


def delays_figure(delays: Sequence[float]) -> str:
    """How late labels came, in seconds."""
    known = sorted(value for value in delays if math.isfinite(value) and value >= 0)
    unit, seconds = unit_of(known[-1] if known else 0.0)
    description = f"How many labels came how many {unit} after their turn."
    later = [delay / seconds for delay in known]
    chart = histogram("delays", "Label delays", description, later, f"{unit} from turn to label")
    tenths = [(share, later[math.ceil(share / 100 * len(later)) - 1]) for share in (10, 50, 90) if later]
    rows = table(["labels", "within"], [[f"{share} %", f"{number(delay, 1)} {unit}"] for share, delay in tenths])
    return figure("How late labels came", "labels by delay", chart, rows)


def reliability_figure(judged: Iterable[tuple[float, bool]], chart_id: str = "reliability", of: str = "") -> str:
    """Published scores, and whether people called the turn unsafe, as the policy reads it; `of` ends the title."""
    bins = reliability_bins(judged)
    description = (
        "Published scores against the share of turns that people called unsafe; calibrated is on the diagonal."
    )
    chart = reliability_chart(chart_id, f"Reliability{of}", description, bins)
    rows = [[number(each.mean_score), number(each.share), str(each.count)] for each in bins]
    told = table(["mean score", "called unsafe", "turns"], rows)
    return figure(f"Can scores be read as probabilities{of}?", "share called unsafe; on the diagonal: yes", chart, told)
