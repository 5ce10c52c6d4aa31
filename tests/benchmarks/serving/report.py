"""From measured runs to a page of Markdown. Pure: no clock, no process."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.report import judged, ratios_of, rounds_of, spread, where
from benchmarks.serving.results import Results, Run

OURS = "panel"
GOALS = {"bare": 0.95, "infinity-torch": 1.5, "pipeline": 4.0}
"""The least that the executor may reach, as a multiple of each contestant's rate."""
HEAD = """\
| contestant | texts/s, median (min to max) | the executor is so many times as fast | CPU ms a text |
|---|---|---|---|"""
NOTES = """\
Each is a process of its own that holds the model (MiniLM-L6 with two labels, fp32, on the CPU) and is given all texts
at once, as strings; it answers with their probabilities, which must agree. In a round one contestant runs after the
other, the order turned by one each round; a pass before the rounds is not counted. Bare ONNX Runtime sorts all texts by
length and takes whichever of five token budgets is fastest on a sample of them. Texts that the model would cut are left
out, since not every contestant cuts them alike. Ratios are taken within a round."""


def render(results: Results, titles: dict[str, str]) -> str:
    """The page; `titles` names the contestants to show, in order. Those without a run are said to be missing."""
    shown = {key: title for key, title in titles.items() if any(run.contestant == key for run in results.runs)}
    lines = [
        "# Texts per second of one model",
        "",
        *where(results),
        *_of_texts(results),
        "",
        HEAD,
        *(_row(results.runs, key, title) for key, title in shown.items()),
        "",
        NOTES,
        "",
        *_goals(results.runs, shown),
        *(f"- {titles[key]} did not run: {reason}." for key, reason in results.missing.items()),
    ]
    return "\n".join(lines) + "\n"


def ratios(runs: Sequence[Run], key: str, base: str) -> list[float]:
    """The texts per second of `key` over those of `base`, for every round that has both."""
    return ratios_of(runs, key, base, lambda run: run.texts_per_s)


def _of_texts(results: Results) -> list[str]:
    rounds = len(rounds_of(results.runs))
    return [
        f"{results.texts:,} texts of {results.tokens:.0f} tokens on average, {rounds} rounds; probabilities",
        f"of the contestants differ by at most {results.apart:.1e}.",
    ]


def _row(runs: Sequence[Run], key: str, title: str) -> str:
    mine = [run for run in runs if run.contestant == key]
    cells = [
        title,
        spread((run.texts_per_s for run in mine), "{:,.0f}"),
        spread(ratios(runs, OURS, key), "{:.2f}") if key != OURS else "1",
        f"{median(run.processor_ms for run in mine):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _goals(runs: Sequence[Run], titles: dict[str, str]) -> list[str]:
    found = {key: ratios(runs, OURS, key) for key in GOALS if key in titles}
    return [
        f"- At least {GOALS[key]:g} of {titles[key]}: {judged(values, GOALS[key])}."
        for key, values in found.items()
        if values
    ]
