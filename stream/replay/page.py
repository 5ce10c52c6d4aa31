"""A replay as one HTML page that stands alone. Nothing in it depends on when or where it was made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

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
    loss_tile,
    regret_tile,
    reliability_figure,
    styles_of,
)
from stream.report.page import document, figure, number, table, tiles

TITLE = "A stream, replayed"


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
    several = {phase.context for phase in phases if phase.since}
    return [
        f"{phase.context}, {phase.policy} from turn {phase.since:,}" if phase.context in several else phase.context
        for phase in phases
    ]


def _tiles(found: Replay, points: Sequence[WeightsPoint]) -> str:
    """Of the first forecaster, where several were tried."""
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
            ("Labels", f"{read.labels:,}", f"{left:,} left out" if left else "all are used", "warn" if left else ""),
            loss_tile(last),
            regret_tile(last),
            ("Turn to label", *late, ""),
            ("Labels missing", number(missing / rounds if rounds else math.nan, 1), "a forecast, on average", ""),
        ]
    )


def _table(found: Replay) -> str:
    head = ["context", "policy", "forecaster", "labelled", "loss", "best expert", "its loss", "regret", "bound"]
    rows = [row for run in found.runs for row in _rows(run)]
    shown = table([*head, "ratio", "D", "state"], rows)
    return f'<div class="card">{shown}</div>' if shown else '<p class="faint">There was no turn.</p>'


def _rows(run: Run) -> Iterator[list[str]]:
    for name, phase in zip(_names(run.phases), run.phases, strict=True):
        best = next((each for each in phase.experts if each.expert == phase.best and not each.shadow), None)
        yield [
            name,
            phase.policy,
            run.forecaster,
            f"{phase.rounds:,}",
            number(phase.loss),
            phase.best or "–",
            number(math.nan if best is None else best.loss),
            number(math.nan if phase.regret is None else phase.regret),
            number(math.nan if phase.bound is None else phase.bound),
            number(phase.ratio),
            number(phase.delay, 0),
            "ALARM" if phase.alarm else "under its bound",
        ]


def _comparison(found: Replay) -> str:
    """The ensemble's loss under each forecaster, where several were tried."""
    if len(found.runs) < 2:
        return ""
    styles = {run.forecaster: f"s{place % COLOURS}" for place, run in enumerate(found.runs)}
    several = [_names(run.phases) for run in found.runs]
    charts = [
        _compared(place, name, found.runs, styles)
        for place, name in enumerate(several[0][:OPEN_CONTEXTS])
        if all(name in names for names in several)
    ]
    return f'<h2>Forecasters compared</h2>{legend(styles, ensemble=False)}<div class="charts">{"".join(charts)}</div>'


def _compared(place: int, name: str, runs: Sequence[Run], styles: Mapping[str, str]) -> str:
    phases = [run.phases[_names(run.phases).index(name)] for run in runs]
    lines = [
        Line(run.forecaster, styles[run.forecaster], [(float(p.rounds), p.loss) for p in phase.points])
        for run, phase in zip(runs, phases, strict=True)
    ]
    description = f"The cumulative loss of the ensemble in {name} under each forecaster; lower is better."
    chart = line_chart(f"compared-{place}", f"Forecasters in {name}", description, lines, "labelled turns")
    experts = {each.expert: each.loss for each in phases[0].experts if not each.shadow}
    rows = [[run.forecaster, number(phase.loss)] for run, phase in zip(runs, phases, strict=True)]
    rows += [[expert, number(loss)] for expert, loss in experts.items()]
    return figure(name, "cumulative loss of the ensemble", chart, table(["forecaster or expert", "loss"], rows))


def _run(place: int, run: Run, points: Sequence[WeightsPoint], styles: Mapping[str, str], several: int) -> str:
    contexts = by_context(points)
    beside = f" · {escape(run.forecaster)}" if several > 1 else ""
    charts = [
        context_charts(name, of, styles, number_ + (OPEN_CONTEXTS if place else 0), f"run-{place}-", over_time=True)
        for number_, (name, of) in enumerate(contexts.items())
    ]
    none = "" if contexts else '<p class="faint">There was no turn.</p>'
    return f"<h2>How the weights moved{beside}</h2>{legend(styles)}{''.join(charts)}{none}"


def _reliability(place: int, course: Course, several: int) -> str:
    beside = f", {course.run.forecaster}" if several > 1 else ""
    return reliability_figure(course.judged, f"reliability-{place}", beside)
