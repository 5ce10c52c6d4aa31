"""From measured loads of the gateway to a page of Markdown. Pure: no clock, no broker."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.gateway.results import Results, Run
from benchmarks.report import rounds_of, spread, where

NOTES = """\
A closed loop: each caller sends its next request when it has its answer, over one connection kept open, by aiohttp's
client. Callers, gateway, worker and broker share the machine's cores. Worker and gateway have the cheapest shipped
expert, `lexical`, so that what is measured is the way to the verdict and not the experts. Median of the rounds, in
brackets the least and the most; the order turns each round."""
TITLES = {"topics": "by way of the topics", "direct": "at once"}


def render(results: Results) -> str:
    """The page."""
    kinds = list(dict.fromkeys(map(_kind, results.runs)))
    lines = [
        "# Moderation over HTTP",
        "",
        *where(results),
        f"{len(rounds_of(results.runs))} rounds of {results.seconds:g} s for each row.",
        "",
        "| way | callers | texts a request | texts/s | p50, ms | p99, ms |",
        "|---|---|---|---|---|---|",
        *(_row([run for run in results.runs if _kind(run) == kind]) for kind in kinds),
        "",
        NOTES,
    ]
    return "\n".join(lines) + "\n"


def _kind(run: Run) -> tuple[str, int, int]:
    return run.way, run.callers, run.texts


def _row(runs: Sequence[Run]) -> str:
    one = runs[0]
    rates = spread((run.texts_per_s for run in runs), "{:,.0f}")
    p50, p99 = spread((run.p50 for run in runs), "{:.1f}"), spread((run.p99 for run in runs), "{:.1f}")
    return f"| {TITLES[one.way]} | {one.callers} | {one.texts} | {rates} | {p50} | {p99} |"
