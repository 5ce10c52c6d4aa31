"""From measured runs to a page of Markdown. Pure: no clock, no process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.ensemble.results import Results, Run
from benchmarks.report import judged, ratios_of, rounds_of, spread, where

OURS: Final = "ours"
RIVER: Final = "river"
TITLES: Final = {
    OURS: "**the ensemble**, four half-lives",
    "ours-one": "**the ensemble**, one half-life",
    "ewa": "EWA in numpy, a round at a time",
    "mlpol": "MLpol in numpy, a round at a time",
    RIVER: "river's EWARegressor",
}
GOAL: Final = 50.0
"""Of river's updates a second: the least that the ensemble shall reach in batches."""
GOAL_US: Final = 50.0
"""Microseconds: the most that a forecast for a batch shall take."""
HEAD = """\
| contestant | updates/s, median (min to max) | of river's | forecasts/s | of river's |
|---|---|---|---|---|"""
NOTES = """\
Each is given the same advice and targets, with eta = 1/2 under the Brier loss, and starts anew in every round; all
experts are awake. An update of the ensemble is one label's share of a batch: making and checking the rounds, adding
them to the moments (under every half-life: six sums of each expert and forecast by class, seven of squared regrets,
their histogram), and the weights anew. The others learn the one sum that their rule needs. river and the rules in
numpy take a turn at a time, as their packages do, on a sample of the stream; their rates are extrapolated, which the
fixed cost of a turn allows. river's experts are trivial models that answer what they are given, so that only the
aggregation is timed. EWA is section 2.2 of Cesa-Bianchi & Lugosi 2006, MLpol is of Gaillard, Stoltz & van Erven 2014,
both over arrays of experts, as in opera. Ratios are taken within a round; in a round one contestant runs after the
other, the order turned by one each round."""


def render(results: Results) -> str:
    """The page; contestants without a run are left out."""
    shown = [key for key in TITLES if any(run.contestant == key for run in results.runs)]
    lines = [
        "# Updates and forecasts per second of the ensemble",
        "",
        *where(results),
        *_of_updates(results),
        "",
        HEAD,
        *(_row(results.runs, key) for key in shown),
        "",
        NOTES,
        "",
        *_goals(results, [key for key in shown if key.startswith(OURS)]),
    ]
    return "\n".join(lines) + "\n"


def ratios(runs: Sequence[Run], key: str, rate: Callable[[Run], float]) -> list[float]:
    """A rate of `key` over that of river, for every round that has both."""
    return ratios_of(runs, key, RIVER, rate)


def batch_us(results: Results, key: str) -> list[float]:
    """Microseconds that a batch of turns takes, by round."""
    return [results.batch / run.forecasts_per_s * 1e6 for run in results.runs if run.contestant == key]


def _of_updates(results: Results) -> list[str]:
    rounds = len(rounds_of(results.runs))
    sample = min((run.updates for run in results.runs), default=0)
    return [
        f"{results.turns:,} label updates in batches of {results.fold:,} and {results.turns:,} forecasts in batches of "
        f"{results.batch:,}, {results.experts} experts,",
        f"{rounds} rounds; of river and the rules in numpy a sample of {sample:,}. With one half-life, learning",
        f"a label at a time, the weights of the ensemble and of EWA differ by at most {results.apart:.0e}.",
    ]


def _row(runs: Sequence[Run], key: str) -> str:
    mine = [run for run in runs if run.contestant == key]
    updates, forecasts = (lambda run: run.updates_per_s), (lambda run: run.forecasts_per_s)
    cells = [
        TITLES[key],
        spread(map(updates, mine), "{:,.0f}"),
        spread(ratios(runs, key, updates), "{:.1f}") if key != RIVER else "1",
        spread(map(forecasts, mine), "{:,.0f}"),
        spread(ratios(runs, key, forecasts), "{:.1f}") if key != RIVER else "1",
    ]
    return f"| {' | '.join(cells)} |"


def _goals(results: Results, keys: Sequence[str]) -> list[str]:
    lines = []
    for key in keys:
        title = TITLES[key].replace("**", "")
        found = ratios(results.runs, key, lambda run: run.updates_per_s)
        if found:
            times = spread(found, "{:.1f}")
            lines.append(f"- {title}: {GOAL:.0f} times river's updates a second: {judged(found, GOAL)}, {times}.")
        took = batch_us(results, key)
        within = f"{judged([GOAL_US / us for us in took], 1.0)}, {spread(took, '{:.0f}')} µs"
        lines.append(f"- {title}: a forecast for {results.batch} turns in {GOAL_US:.0f} µs: {within}.")
    return lines
