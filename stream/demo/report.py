"""The report of a run: one HTML page that stands alone, without scripts, fonts or pictures from anywhere else."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from stream.report.charts import stacked_bars
from stream.report.contexts import (
    REGRET_IN_WORDS,
    WeightsPoint,
    by_context,
    context_charts,
    contexts_table,
    delays_figure,
    legend,
    loss_tile,
    regret_tile,
    reliability_figure,
    styles_of,
)
from stream.report.page import document, figure, number, table, tiles

CLASSES = ("safe", "needs_caution", "unsafe")


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
    header = f"""<h1>{escape(report.title)}</h1>
<p class="lead">Started {escape(report.started)}, ran for {number(report.seconds, 0)} s. Experts read every turn; what
people said of it later moved their weights.</p>
{_tiles(report, contexts)}"""
    main = f"""<h2>Contexts</h2>
{contexts_table(contexts)}
<h2>How the weights moved</h2>
{legend(styles)}
{"".join(context_charts(name, points, styles, place) for place, (name, points) in enumerate(contexts.items()))}
{"" if contexts else '<p class="faint">No weights were published: no label has been learned yet.</p>'}
<h2>Verdicts and labels</h2>
<div class="charts">
{_verdicts(report.verdicts)}
{delays_figure(report.delays)}
{_reliability(report)}
</div>
{_where_next(report.where_next)}"""
    return document(report.title, header, main, REGRET_IN_WORDS)


def _tiles(report: ReportData, contexts: Mapping[str, Sequence[WeightsPoint]]) -> str:
    last = [points[-1] for points in contexts.values()]
    decided = {label: sum(row.get(label, 0) for row in report.verdicts.values()) for label in CLASSES}
    total = sum(decided.values())
    dead = sum(report.dead_letters.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.dead_letters.items())
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.labels.items())
    shown = [
        ("Turns decided", f"{total:,}", f"of {report.turns:,} sent", "good" if total >= report.turns else "bad"),
        ("Unsafe", f"{decided['unsafe']:,}", f"{decided['needs_caution']:,} need caution", ""),
        ("Labels", f"{sum(report.labels.values()):,}", kinds or "none came", ""),
        loss_tile(last),
        regret_tile(last),
        _latency_tile(report.latencies),
        ("Dead letters", f"{dead:,}", reasons or "every message was usable", "warn" if dead else "good"),
    ]
    return tiles(shown)


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


def _reliability(report: ReportData) -> str:
    unsafe = {"unsafe", "needs_caution"} if report.caution_is_unsafe else {"unsafe"}
    return reliability_figure((score, label in unsafe) for score, label in report.judged)


def _verdicts(verdicts: Mapping[str, Mapping[str, int]]) -> str:
    rows = {name: {label: verdicts[name].get(label, 0) for label in CLASSES} for name in sorted(verdicts)}
    description = "How many turns of each context were decided to be safe, to need caution, or to be unsafe."
    chips = "".join(f'<li><span class="chip label-{label}"></span>{label.replace("_", " ")}</li>' for label in CLASSES)
    chart = f'<ul class="legend">{chips}</ul>{stacked_bars("verdicts", "Verdicts", description, rows)}'
    rest = table(["context", *CLASSES], [[name, *map(str, row.values())] for name, row in rows.items()])
    return figure("Verdicts", "turns by context and decision", chart, rest)


def _where_next(entries: Sequence[tuple[str, str]]) -> str:
    if not entries:
        return ""
    items = "".join(f"<dt><code>{escape(what)}</code></dt><dd>{escape(why)}</dd>" for what, why in entries)
    return f'<h2>Where to look next</h2><dl class="card next">{items}</dl>'
