"""From measured runs to a page of Markdown. Pure: no clock, no broker."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.e2e.results import Latency, Results
from benchmarks.report import judged, ratios_of, rounds_of, spread, where

BARE, OURS = "bare", "worker"
GOAL = 0.9
"""Of the bare session's rate: the least that the worker may reach, from broker to verdict."""
TITLES = {BARE: "bare ONNX Runtime: the same graphs, ideal batches", OURS: "**worker**, all shipped experts"}
NOTES = """\
The bare session is given all texts at once, sorts them by length and takes whichever of five token budgets is fastest
on a sample; it runs what the worker runs for a user's turn (the encoder, the heads on it that read users, and
`lexical`, with their tokenizers), on as many threads, and nothing else. The worker is a process
as `aegis worker` starts it, warm, on a broker of the same machine; its time runs from the broker's timestamp of the
first turn to that of the last verdict, so it holds fetching, the experts, the ensemble, the state and both
acknowledged writes. Ratios are taken within a round; the order turns each round."""
LATENCY_NOTES = """\
An open loop: turns come with the gaps of a Poisson process at that share of the capacity, whatever the worker does.
From the broker's timestamp of a turn to that of its verdict, both when they were appended (LogAppendTime, whole
milliseconds). The sender, the broker and the worker share the machine's cores. `instant` are three experts that answer
at once, with no conversations kept."""


def render(results: Results) -> str:
    """The page."""
    return (
        "\n".join(
            [
                "# From broker to verdict",
                "",
                *where(results),
                f"{results.texts:,} texts of {results.tokens:.0f} tokens on average ({results.source}), "
                f"{len(rounds_of(results.runs))} rounds.",
                "",
                "| contestant | texts/s, median (min to max) | of the bare session |",
                "|---|---|---|",
                *(_row(results, key) for key in TITLES),
                "",
                NOTES,
                "",
                *_goal(results),
                *_token(results),
                "",
                "## Latency",
                "",
                "| experts | load | turns/s | turns | p50, ms | p99, ms | worst, ms |",
                "|---|---|---|---|---|---|---|",
                *map(_latency, results.latencies),
                "",
                LATENCY_NOTES,
                *(f"Capacity with {name} experts: {rate:,.0f} turns/s." for name, rate in results.capacity.items()),
            ]
        )
        + "\n"
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed."""
    some = sorted(values)
    return some[min(len(some) - 1, max(0, -int(-share * len(some) // 1) - 1))]


def _ratios(results: Results) -> list[float]:
    return ratios_of(results.runs, OURS, BARE, lambda run: run.texts_per_s)


def _row(results: Results, key: str) -> str:
    rates = spread((run.texts_per_s for run in results.runs if run.contestant == key), "{:,.1f}")
    return f"| {TITLES[key]} | {rates} | {spread(_ratios(results), '{:.2f}') if key == OURS else '1'} |"


def _goal(results: Results) -> list[str]:
    found = _ratios(results)
    return [f"- At least {GOAL:g} of the bare session: {judged(found, GOAL)}."] if found else []


def _token(results: Results) -> list[str]:
    """What `deploy/capacity.md` asks for."""
    rate = results.capacity.get("shipped", 0.0)
    cost = 1000 * results.cores / (rate * results.tokens) if rate else 0.0
    return (
        [f"- A token costs {cost:.2f} core-ms (all cores, over the worker's texts/s and their tokens)."] if cost else []
    )


def _latency(one: Latency) -> str:
    load = f"{100 * one.share:.0f} % of capacity"
    times = f"{one.p50_ms:,.0f} | {one.p99_ms:,.0f} | {one.worst_ms:,.0f}"
    return f"| {one.experts} | {load} | {one.rate:,.0f} | {one.turns:,} | {times} |"
