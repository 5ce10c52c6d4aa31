"""A replay as one HTML page that stands alone. Nothing in it depends on when or where it was made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from stream.replay.page_changes import changes
from stream.replay.results import Phase, Replay, Run
from stream.replay.runner import Course
from stream.replay.stream import Stream
from stream.replay.wording import input_in_words, span, tried_in_words
from stream.report.charts import Line, line_chart
from stream.report.contexts import (
    COLOURS,
    OPEN_CONTEXTS,
    REGRET_IN_WORDS,
    WeightsPoint,
    by_context,
    context_charts,
    delays_figure,
    legend,
    regret_tile,
    reliability_figure,
    styles_of,
)
from stream.report.page import document, figure, number, table, tiles

TITLE = "A stream, replayed"
MOST_DRAWN = 40
"""Contexts with charts, the busiest: with hundreds of them a page is megabytes that nobody scrolls through."""


def render(found: Replay, stream: Stream, courses: Sequence[Course]) -> str:
    """The page, as a complete HTML document."""
    points = [_points(course.run) for course in courses]
    styles = styles_of(point for each in points for point in each)
    header = f"""<h1>{TITLE}</h1>
<p class="lead">{escape(input_in_words(found.read))}</p>
<p class="lead">{escape(tried_in_words(found))}</p>
{_tiles(found, points[0])}"""
    main = f"""<h2>Contexts</h2>
{_table(found)}
{changes(found)}
{_comparison(found)}
{"".join(_run(place, course.run, points[place], styles, len(courses)) for place, course in enumerate(courses))}
<h2>Labels and scores</h2>
<div class="charts">
{delays_figure(stream.delays.tolist())}
{"".join(_reliability(place, course, len(courses)) for place, course in enumerate(courses))}
</div>"""
    return document(TITLE, header, main, REGRET_IN_WORDS)


def _points(run: Run) -> list[WeightsPoint]:
    """Each phase as a context of its own: losses and regret begin anew with it."""
    names = _names(run.phases)
    return [
        WeightsPoint(
            context=name,
            at=point.at,
            rounds=point.rounds,
            weights=point.weights,
            regret=point.regret,
            bound=math.inf if point.bound is None else point.bound,
            loss=point.losses,
            ensemble_loss=point.loss,
            policy=phase.policy,
            alarm=point.alarm,
        )
        for name, phase in zip(names, run.phases, strict=True)
        for point in phase.points
    ]


def _names(phases: Sequence[Phase]) -> list[str]:
    """The context, and where policies change in it, the policy and from when on."""
    several = {phase.context for phase in phases if phase.since}
    return [phase.context if phase.context not in several else _name(phase) for phase in phases]


def _name(phase: Phase) -> str:
    return f"{phase.context}, {phase.policy}{f' from turn {phase.since:,}' if phase.since else ''}"


def _tiles(found: Replay, points: Sequence[WeightsPoint]) -> str:
    """Of the first run, where there are several."""
    read, last = found.read, [each[-1] for each in by_context(points).values()]
    left = sum(read.left_out.values()) + read.bad
    missing = sum(phase.delay for phase in found.runs[0].phases)
    rounds = sum(phase.rounds for phase in found.runs[0].phases)
    late = ("–", "no label is learned") if found.delays is None else (
        span(found.delays.half), f"median; nine in ten within {span(found.delays.nine_tenths)}"
    )  # fmt: skip
    return tiles(
        [
            ("Turns", f"{read.turns:,}", f"{read.learned:,} of them labelled", ""),
            (
                "Labels",
                f"{read.labels:,}",
                f"{left:,} left out" if left else "all are used",
                "warn" if read.bad else "",
            ),
            _loss_tile(found.runs[0]),
            regret_tile(last),
            ("Turn to label", *late, ""),
            ("Labels missing", number(missing / rounds if rounds else math.nan, 1), "a forecast, on average", ""),
        ]
    )


def _loss_tile(run: Run) -> tuple[str, str, str, str]:
    rounds, loss = sum(phase.weighed for phase in run.phases), sum(phase.loss for phase in run.phases)
    lost = sum(phase.regret or 0.0 for phase in run.phases) / rounds if rounds else math.nan
    more = f"{abs(lost):.4f} {'above' if lost > 0 else 'below'} that of the best expert of each context"
    return "Loss a label", number(loss / rounds if rounds else math.nan), more if rounds else "nothing learned", ""


def _table(found: Replay) -> str:
    """A row a context and run; what is the same in all rows has no column."""
    several = len(found.runs) > 1, any(phase.since for run in found.runs for phase in run.phases)
    head = ["context", *_those(several, "run", "policy"), "labelled", "loss", "best expert", "its loss"]
    rows = [row for run in found.runs for row in _rows(run, several)]
    shown = table([*head, "regret", "bound", "ratio", "missing (D)", "state"], rows)
    return f'<div class="card">{shown}</div>' if shown else '<p class="faint">There was no turn.</p>'


def _those(several: tuple[bool, bool], forecaster: str, policy: str) -> list[str]:
    """The forecaster where there are several, the policy where it is not in the context's name."""
    return [*([forecaster] if several[0] else []), *([] if several[1] else [policy])]


def _rows(run: Run, several: tuple[bool, bool]) -> Iterator[list[str]]:
    for name, phase in zip(_names(run.phases), run.phases, strict=True):
        best = next((each for each in phase.experts if each.expert == phase.best and not each.shadow), None)
        yield [
            name,
            *_those(several, run.title, phase.policy),
            f"{phase.rounds:,}",
            number(phase.loss, 1),
            phase.best or "–",
            number(math.nan if best is None else best.loss, 1),
            number(math.nan if phase.regret is None else phase.regret, 1),
            number(math.nan if phase.bound is None else phase.bound, 1),
            number(phase.ratio),
            number(phase.delay, 0),
            "ALARM" if phase.alarm else "sound",
        ]


def _comparison(found: Replay) -> str:
    """The ensemble's loss in each run, where there are several."""
    if len(found.runs) < 2:
        return ""
    styles = {run.title: f"s{place % COLOURS}" for place, run in enumerate(found.runs)}
    several = [_names(run.phases) for run in found.runs]
    charts = [
        _compared(place, name, found.runs, styles)
        for place, name in enumerate(several[0][:OPEN_CONTEXTS])
        if all(name in names for names in several)
    ]
    return f'<h2>Runs compared</h2>{legend(styles, ensemble=False)}<div class="charts">{"".join(charts)}</div>'


def _compared(place: int, name: str, runs: Sequence[Run], styles: Mapping[str, str]) -> str:
    phases = [run.phases[_names(run.phases).index(name)] for run in runs]
    lines = [
        Line(run.title, styles[run.title], [(float(p.rounds), p.loss) for p in phase.points])
        for run, phase in zip(runs, phases, strict=True)
    ]
    description = f"The cumulative loss of the ensemble in {name} in each run; lower is better."
    chart = line_chart(f"compared-{place}", f"Runs in {name}", description, lines, "labelled turns")
    experts = {each.expert: each.loss for each in phases[0].experts if not each.shadow}
    rows = [[run.title, number(phase.loss)] for run, phase in zip(runs, phases, strict=True)]
    rows += [[expert, number(loss)] for expert, loss in experts.items()]
    return figure(name, "cumulative loss of the ensemble", chart, table(["run or expert", "loss"], rows))


def _run(place: int, run: Run, points: Sequence[WeightsPoint], styles: Mapping[str, str], several: int) -> str:
    contexts: dict[str, list[WeightsPoint]] = {}
    for point in points:
        contexts.setdefault(point.context, []).append(point)
    beside = f" · {escape(run.title)}" if several > 1 else ""
    charts = [
        context_charts(name, of, styles, order + (OPEN_CONTEXTS if place else 0), f"run-{place}-", over_time=True)
        for order, (name, of) in enumerate(list(contexts.items())[:MOST_DRAWN])
    ]
    more = f"The {MOST_DRAWN} busiest contexts are drawn; all {len(contexts):,} are in the table above."
    note = "There was no turn." if not contexts else more if len(contexts) > MOST_DRAWN else ""
    faint = f'<p class="faint">{note}</p>' if note else ""
    return f"<h2>How the weights moved{beside}</h2>{legend(styles)}{''.join(charts)}{faint}"


def _reliability(place: int, course: Course, several: int) -> str:
    beside = f", {course.run.title}" if several > 1 else ""
    return reliability_figure(course.judged, f"reliability-{place}", beside)
