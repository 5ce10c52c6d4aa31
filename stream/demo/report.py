"""The report of a run: one HTML page that stands alone, without scripts, fonts or pictures from anywhere else."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

from stream.demo.charts import (
    Line,
    finite,
    histogram,
    line_chart,
    reliability_bins,
    reliability_chart,
    stacked_bars,
    thinned,
)

CLASSES = ("safe", "needs_caution", "unsafe")
COLOURS = 6  # classes s0 to s5 of the style sheet, told apart also by their dashes
OPEN_CONTEXTS = 4  # the busiest contexts are unfolded, the rest one click away: a tenant-rich run stays readable
TABLE_ROWS = 12  # a chart's table shows this many of its rounds


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


@dataclass(frozen=True, slots=True)
class ReportData:
    """A finished run. Lists may be empty and numbers not finite: the page then shows gaps.

    `points`: in order of time, contexts mixed. `judged`: the published score of a turn and the class people gave it.
    `verdicts`: context to class to count. `labels`: kind (late, early, twice, corrected) to count. `dead_letters`:
    reason to count. `delays`: seconds from a turn to its label. `latencies`: milliseconds from turn to verdict.
    `where_next`: a command or an address, and what is to be seen there.
    """

    title: str
    started: str
    seconds: float
    turns: int
    points: Sequence[WeightsPoint] = ()
    judged: Sequence[tuple[float, str]] = ()
    verdicts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    delays: Sequence[float] = ()
    latencies: Sequence[float] = ()
    where_next: Sequence[tuple[str, str]] = ()
    caution_is_unsafe: bool = False


def render(report: ReportData) -> str:
    """The page, as a complete HTML document."""
    contexts = by_context(report.points)
    styles = styles_of(report.points)
    style = files("stream.demo").joinpath("report.css").read_text("utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(report.title)}</h1>
<p class="lead">Started {escape(report.started)}, ran for {number(report.seconds, 0)} s. Experts read every turn; what
people said of it later moved their weights.</p>
{_tiles(report, contexts)}
</header>
<main>
<h2>Contexts</h2>
{_contexts_table(contexts)}
<h2>How the weights moved</h2>
{_legend(styles)}
{"".join(_context(name, points, styles, place) for place, (name, points) in enumerate(contexts.items()))}
{"" if contexts else '<p class="faint">No weights were published: no label has been learned yet.</p>'}
<h2>Verdicts and labels</h2>
<div class="charts">
{_verdicts(report.verdicts)}
{_delays(report.delays)}
{_reliability(report)}
</div>
{_where_next(report.where_next)}
</main>
<footer>Regret is the ensemble&#8217;s loss minus an expert&#8217;s over the rounds in which that expert was
awake. It stays under its bound (Cesa-Bianchi &amp; Lugosi, 2006) unless
there is a bug or a wrong label stream.</footer>
</body>
</html>
"""


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


def number(value: float, digits: int = 3) -> str:
    """A number for reading, a dash where there is none."""
    return f"{value:,.{digits}f}" if math.isfinite(value) else "–"


def _tiles(report: ReportData, contexts: Mapping[str, Sequence[WeightsPoint]]) -> str:
    last = [points[-1] for points in contexts.values()]
    decided = {label: sum(row.get(label, 0) for row in report.verdicts.values()) for label in CLASSES}
    total = sum(decided.values())
    dead = sum(report.dead_letters.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.dead_letters.items())
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.labels.items())
    tiles = [
        ("Turns decided", f"{total:,}", f"of {report.turns:,} sent", "good" if total >= report.turns else "bad"),
        ("Unsafe", f"{decided['unsafe']:,}", f"{decided['needs_caution']:,} need caution", ""),
        ("Labels", f"{sum(report.labels.values()):,}", kinds or "none came", ""),
        _loss_tile(last),
        _regret_tile(last),
        _latency_tile(report.latencies),
        ("Dead letters", f"{dead:,}", reasons or "every message was usable", "warn" if dead else "good"),
    ]
    return f'<dl class="tiles">{"".join(_tile(*tile) for tile in tiles)}</dl>'


def _tile(name: str, value: str, more: str, style: str) -> str:
    return (
        f'<div class="tile"><dt>{escape(name)}</dt><dd class="value {style}">{escape(value)}</dd>'
        f'<dd class="more">{escape(more)}</dd></div>'
    )


def _loss_tile(last: Sequence[WeightsPoint]) -> tuple[str, str, str, str]:
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


def _regret_tile(last: Sequence[WeightsPoint]) -> tuple[str, str, str, str]:
    shares = [(worst_regret(point) / point.bound, point) for point in last if 0 < point.bound < math.inf]
    known = [(share, point) for share, point in shares if math.isfinite(share)]
    if not known:
        return "Regret, of its bound", "–", "nothing learned yet", ""
    share, point = max(known, key=lambda pair: pair[0])
    alarm = any(each.alarm for each in last)
    more = f"{'ALARM: above its bound' if alarm else 'highest'}, in {point.context}"
    return "Regret, of its bound", f"{share:.0%}", more, "bad" if alarm or share > 1 else "good"


def _latency_tile(latencies: Sequence[float]) -> tuple[str, str, str, str]:
    known = sorted(value for value in latencies if math.isfinite(value))
    if not known:
        return "Turn to verdict", "–", "no verdict yet", ""
    slow = known[math.ceil(0.95 * len(known)) - 1]
    return (
        "Turn to verdict",
        f"{number(statistics.median(known), 0)} ms",
        f"median; 95 % under {number(slow, 0)} ms",
        "",
    )


def _legend(styles: Mapping[str, str]) -> str:
    keys = [*styles.items(), ("ensemble", "ensemble"), ("bound", "bound")]
    swatch = '<svg viewBox="0 0 26 10" aria-hidden="true"><line class="series {}" x1="1" y1="5" x2="25" y2="5"/></svg>'
    return (
        f'<ul class="legend">{"".join(f"<li>{swatch.format(style)}{escape(name)}</li>" for name, style in keys)}</ul>'
    )


def _context(name: str, points: Sequence[WeightsPoint], styles: Mapping[str, str], place: int) -> str:
    last = points[-1]
    charts = (
        _weights_chart(f"weights-{place}", name, points, styles),
        _loss_chart(f"loss-{place}", name, points, styles),
        _regret_chart(f"regret-{place}", name, points, styles),
    )
    shown = " open" if place < OPEN_CONTEXTS else ""
    return (
        f'<details class="context"{shown}><summary>{escape(name)} <span class="faint">{last.rounds:,} labelled turns'
        f'</span></summary><div class="charts">{"".join(charts)}</div></details>'
    )


def _weights_chart(chart_id: str, name: str, points: Sequence[WeightsPoint], styles: Mapping[str, str]) -> str:
    lines = _lines(points, styles, lambda point: point.weights)
    description = f"The weight of each expert in {name} over its labelled turns, from 0 to 1."
    chart = line_chart(chart_id, f"Weights in {name}", description, lines, "labelled turns", (0.0, 1.0))
    return _figure("Weight of each expert", "who is believed", chart, _series_table(points, lines))


def _loss_chart(chart_id: str, name: str, points: Sequence[WeightsPoint], styles: Mapping[str, str]) -> str:
    together = [(float(point.rounds), point.ensemble_loss) for point in points]
    lines = [*_lines(points, styles, lambda point: point.loss), Line("ensemble", "ensemble", together)]
    description = f"The cumulative loss of each expert and of the ensemble in {name}; lower is better."
    chart = line_chart(chart_id, f"Cumulative loss in {name}", description, lines, "labelled turns")
    return _figure("Cumulative loss", "lower is better", chart, _series_table(points, lines))


def _regret_chart(chart_id: str, name: str, points: Sequence[WeightsPoint], styles: Mapping[str, str]) -> str:
    bound = Line("bound", "bound", [(float(point.rounds), point.bound) for point in points])
    lines = [*_lines(points, styles, lambda point: point.regret), bound]
    description = f"The ensemble's regret to each expert in {name}, and the bound that it must stay under."
    chart = line_chart(chart_id, f"Regret and its bound in {name}", description, lines, "labelled turns")
    return _figure(
        "Regret to each expert", "below 0 the ensemble was the better one", chart, _series_table(points, lines)
    )


def _lines(
    points: Sequence[WeightsPoint], styles: Mapping[str, str], read: Callable[[WeightsPoint], Mapping[str, float]]
) -> list[Line]:
    series = {expert: [(float(p.rounds), read(p)[expert]) for p in points if expert in read(p)] for expert in styles}
    return [Line(expert, styles[expert], values) for expert, values in series.items() if values]


def _series_table(points: Sequence[WeightsPoint], lines: Sequence[Line]) -> str:
    """Some rounds of the chart's lines in figures, for those who cannot see it."""
    by_line = [dict(finite(line.points)) for line in lines]
    rounds = sorted({float(point.rounds) for point in points})
    picked = thinned([(each, each) for each in rounds], TABLE_ROWS)
    rows = [[f"{each:g}", *(number(values.get(each, math.nan)) for values in by_line)] for each, _ in picked]
    return _table(["labelled turns", *(line.name for line in lines)], rows)


def _verdicts(verdicts: Mapping[str, Mapping[str, int]]) -> str:
    rows = {name: {label: verdicts[name].get(label, 0) for label in CLASSES} for name in sorted(verdicts)}
    description = "How many turns of each context were decided to be safe, to need caution, or to be unsafe."
    chips = "".join(f'<li><span class="chip label-{label}"></span>{label.replace("_", " ")}</li>' for label in CLASSES)
    chart = f'<ul class="legend">{chips}</ul>{stacked_bars("verdicts", "Verdicts", description, rows)}'
    table = _table(["context", *CLASSES], [[name, *map(str, row.values())] for name, row in rows.items()])
    return _figure("Verdicts", "turns by context and decision", chart, table)


def _delays(delays: Sequence[float]) -> str:
    known = sorted(value for value in delays if math.isfinite(value) and value >= 0)
    description = "How many labels came how many seconds after their turn."
    chart = histogram("delays", "Label delays", description, known, "seconds from turn to label")
    tenths = [(share, known[math.ceil(share / 100 * len(known)) - 1]) for share in (10, 50, 90) if known]
    table = _table(["labels", "within"], [[f"{share} %", f"{number(delay, 1)} s"] for share, delay in tenths])
    return _figure("How late labels came", "labels by delay", chart, table)


def _reliability(report: ReportData) -> str:
    unsafe = {"unsafe", "needs_caution"} if report.caution_is_unsafe else {"unsafe"}
    bins = reliability_bins((score, label in unsafe) for score, label in report.judged)
    description = (
        "Published scores against the share of turns that people called unsafe; calibrated is on the diagonal."
    )
    chart = reliability_chart("reliability", "Reliability", description, bins)
    rows = [[number(each.mean_score), number(each.share), str(each.count)] for each in bins]
    table = _table(["mean score", "called unsafe", "turns"], rows)
    return _figure("Can scores be read as probabilities?", "share called unsafe; on the diagonal: yes", chart, table)


def _contexts_table(contexts: Mapping[str, Sequence[WeightsPoint]]) -> str:
    if not contexts:
        return '<p class="faint">No context has learned from a label yet.</p>'
    head = ["context", "policy", "labelled", "leader", "weight", "loss", "best expert", "regret", "bound", "state"]
    rows = [_context_row(points[-1]) for points in contexts.values()]
    return f'<div class="card">{_table(head, rows)}</div>'


def _context_row(point: WeightsPoint) -> list[str]:
    known = {expert: weight for expert, weight in point.weights.items() if math.isfinite(weight)}
    leader = max(known, key=lambda expert: known[expert], default="–")
    best = min((loss for loss in point.loss.values() if math.isfinite(loss)), default=math.nan)
    state = "ALARM" if point.alarm else "under its bound"
    figures = [number(value) for value in (known.get(leader, math.nan), point.ensemble_loss, best)]
    limits = [number(worst_regret(point)), number(point.bound)]
    return [point.context, point.policy or "–", f"{point.rounds:,}", leader, *figures, *limits, state]


def _where_next(entries: Sequence[tuple[str, str]]) -> str:
    if not entries:
        return ""
    items = "".join(f"<dt><code>{escape(what)}</code></dt><dd>{escape(why)}</dd>" for what, why in entries)
    return f'<h2>Where to look next</h2><dl class="card next">{items}</dl>'


def _figure(title: str, subtitle: str, chart: str, table: str) -> str:
    figures = f"<details><summary>In figures</summary>{table}</details>" if table else ""
    return f"<figure><figcaption><h3>{escape(title)}</h3>{escape(subtitle)}</figcaption>{chart}{figures}</figure>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls sideways by itself, or nothing without rows; the first cell of a row names it."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    if not body:
        return ""
    # A box that scrolls must be reachable by keyboard.
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    )
