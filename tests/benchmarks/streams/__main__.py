"""`make bench-streams`: every rule on every stream, at every label rate, for every seed; then JSON and a page."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Final

import click
import numpy as np

from benchmarks.results import keep
from benchmarks.streams import plots
from benchmarks.streams.courses import Course, drifting, shuffled
from benchmarks.streams.measuring import auprc, losses, stretches
from benchmarks.streams.report import ENSEMBLE, FIFTH, FORGETFUL, render
from benchmarks.streams.results import Outcome, Results
from benchmarks.streams.rules import Setting, best_mixture, ensemble, forgetful, labelled, river
from benchmarks.streams.scores import Scores, remembered
from ensemble import HALF_LIVES
from experts.figures import Floats, Labels
from stream.commands.evaluate import open_panel
from stream.commands.progress import steps
from stream.evaluation.tables import short
from stream.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[3]
PACKAGES: Final = ("aegis-stream", "numpy", "river", "onnxruntime-gpu")
RATES: Final = (1.0, 0.2, 0.05)
AFTER: Final = 200
USUAL: Final = Setting(spacing=5.0)
"""A busy context: 17,000 turns a day, of which the half-life of an hour remembers about 1,000."""
MINUTES: Final = 600.0
"""A fifth half-life, of ten minutes, to see what a shorter memory is worth."""
HOUR: Final = HALF_LIVES[-1]
VARIANTS: Final = {
    f"{ENSEMBLE}, contexts by role": replace(USUAL, by_role=True),
    f"{ENSEMBLE}, one half-life (infinity)": replace(USUAL, half_lives=(inf,)),
    FIFTH: replace(USUAL, half_lives=(*HALF_LIVES, MINUTES)),
    f"{ENSEMBLE}, turns 1 s apart": replace(USUAL, spacing=1.0),
    f"{ENSEMBLE}, turns 20 s apart": replace(USUAL, spacing=20.0),
    f"{ENSEMBLE}, turns 60 s apart": replace(USUAL, spacing=60.0),
}
"""At label rate 1, on the stream that drifts with every row once."""
UNWEIGHTED: Final = f"{ENSEMBLE}, a label counts 1"
"""At rates below 1."""
MIXTURE: Final = "best mixture in hindsight"


def settings_of(course: str, rate: float) -> dict[str, Setting]:
    """The ways in which the ensemble is run on a stream."""
    found = {ENSEMBLE: USUAL}
    if rate < 1.0:
        found[UNWEIGHTED] = replace(USUAL, weighted=False)
    elif course == "drifting":
        found |= VARIANTS
    elif course == "long":
        found[FIFTH] = VARIANTS[FIFTH]
    return found


def said_of(name: str, course: Course, comes: Labels, rate: float) -> Iterator[tuple[str, Floats]]:
    """Every rule with its scores[N]."""
    for rule, setting in settings_of(name, rate).items():
        told = ensemble(course, comes, rate, setting)
        yield rule, told.scores
        if rule in (ENSEMBLE, FIFTH):
            yield rule + FORGETFUL, forgetful(course, comes, rate, told, setting.spacing, HOUR)
    yield "river", river(course, comes, rate)
    if rate == 1.0:  # what follows does not depend on labels
        yield "plain mean", course.mean
        yield MIXTURE, course.filled @ best_mixture(course.filled, course.target)
        if len(course.phases) > 1:
            parts = [(course.filled[one.rows], course.target[one.rows]) for one in course.phases]
            yield f"{MIXTURE} of each phase", np.concatenate([given @ best_mixture(given, y) for given, y in parts])
        for column, expert in enumerate(course.experts.tolist()):
            yield short(expert), course.scores[:, column]


def outcomes(courses: dict[str, Course], seed: int, rates: tuple[float, ...]) -> Iterator[Outcome]:
    """Every rule on the streams of one seed."""
    for name, course in courses.items():
        for rate in rates:
            comes = labelled(len(course.label), rate, seed)
            for rule, scores in said_of(name, course, comes, rate):
                loss, parts = losses(course, scores), tuple(stretches(course, comes, scores, AFTER))
                heard = np.isfinite(loss)
                told = (int(heard.sum()), float(loss[heard].mean()), auprc(course, scores))
                yield Outcome(name, rate, seed, rule, *told, parts)


def draw(course: Course, file: Path) -> None:
    """The picture of a stream with every label."""
    comes = np.ones(len(course.label), np.bool_)
    told = ensemble(course, comes, 1.0, USUAL)
    rules = {
        ENSEMBLE: told.scores,
        "river": river(course, comes, 1.0),
        "plain mean": course.mean,
        MIXTURE: course.filled @ best_mixture(course.filled, course.target),
    }
    always = [column for column in range(len(course.experts)) if course.awake[:, column].all()]
    best = min(always, key=lambda column: float(losses(course, course.scores[:, column]).mean()))
    rules[f"{short(str(course.experts[best]))}, the best expert"] = course.scores[:, best]
    plots.draw(course, told.weights, rules, file)


def scores_of(data: Path, cache: Path) -> Scores:
    """What the shipped experts say, from the cache where they were asked before."""
    panel = open_panel(Settings.load(), lambda expert, status, count: None)
    try:
        return remembered(panel, data, cache)
    finally:
        panel.close()


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="The labelled sets.")
@click.option("--seeds", "count", type=click.IntRange(1), default=3, show_default=True)
@click.option("--long", "long_turns", type=click.IntRange(1), default=5000, show_default=True, help="Turns a phase.")
@click.option("--cache", type=click.Path(path_type=Path), default=ROOT / ".aegis" / "bench-streams", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json, .md and .png; none: only show.")
def main(data: Path, count: int, long_turns: int, cache: Path, output: Path | None) -> None:
    """The ensemble beside its experts, river and mixtures in hindsight, on labelled turns that drift."""
    found, seeds, done = scores_of(data, cache), range(count), list[Outcome]()
    with steps() as say:
        for seed in seeds:
            courses = {
                "shuffled": shuffled(found, seed),
                "drifting": drifting(found, seed),
                "long": drifting(found, seed, long_turns),
            }
            for outcome in outcomes(courses, seed, RATES):
                done.append(outcome)
                say(f"seed {seed}: {outcome.course}, label rate {outcome.rate:g}", 1, 0)
    sets, rows = np.unique(found.source, return_counts=True)
    results = Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command="make bench-streams",
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        experts=tuple(found.experts.tolist()),
        sets=dict(zip(sets.tolist(), rows.tolist(), strict=True)),
        caution=int((found.label == 1).sum()),
        spacing=USUAL.spacing,
        after=AFTER,
        long_turns=long_turns,
        outcomes=tuple(done),
    )
    page = render(results, seeds, None if output is None else output.with_suffix(".png").name)
    click.echo(page)
    if output is not None:
        keep(output, results, page)
        draw(drifting(found, 0), output.with_suffix(".png"))


if __name__ == "__main__":
    main()
