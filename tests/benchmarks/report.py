"""From measured runs to a page of Markdown. Pure: no clock, no broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Protocol, TypeVar

from benchmarks.results import Results, Run

PEER = "quixstreams"
BASE = "aiokafka-batches"
GOALS = ((PEER, 2.0, "2 of quixstreams"), (BASE, 0.5, "0.5 of bare aiokafka in batches"))
"""The least that the worker may reach."""
HEAD = """\
| contestant | turns/s, median (min to max) | of aiokafka in batches | of quixstreams | CPU µs a turn | bytes a turn |
|---|---|---|---|---|---|"""
NOTES = """\
Each reads the turns under a group of its own, writes a changelog record and a verdict for every turn (idempotent
producer, acks=all) and commits every 0.5 s (quixstreams: every 10,000 turns). All but quixstreams wait for the
changelog record before they send the verdict. The bare loops decode and decide nothing and write filler of the worker's
mean sizes; the worker's experts answer at once (`ConstantExpert`), and all else is as in production. A rate runs from
the first verdict to the last record of either output, by the broker's clock, so start-up is not in it. CPU is that of
the contestant's process, not of the broker. Ratios are taken within a round.

Faust as it comes is an agent with a table in memory, and `await topic.send` for each verdict. A group of workers is
started on an empty topic, judges 20,000 turns and gets half of the others when it has; its rate and its CPU (of all its
processes) run from the last turn's arrival on, or from the first one's on a machine with four cores more than workers,
where they keep up with the writer. Broker and workers share the cores: what several workers gain on a machine is
bounded by what one leaves idle."""


def render(results: Results, titles: dict[str, str]) -> str:
    """The page; `titles` names the contestants to show, in order. Those without a run are left out."""
    shown = {key: title for key, title in titles.items() if any(run.contestant == key for run in results.runs)}
    lines = [
        "# Turns per second of one process",
        "",
        *where(results),
        _of_turns(results),
        "",
        HEAD,
        *(_row(results.runs, key, title) for key, title in shown.items()),
        "",
        NOTES,
        "",
        *_goals(results.runs, shown),
    ]
    return "\n".join(lines) + "\n"


class AnyRun(Protocol):
    """One contestant in one round of any benchmark."""

    @property
    def contestant(self) -> str: ...
    @property
    def round(self) -> int: ...
    @property
    def load(self) -> float: ...


SomeRun = TypeVar("SomeRun", bound=AnyRun)


class AnyResults(Protocol):
    """What every benchmark says of itself."""

    @property
    def at(self) -> str: ...
    @property
    def command(self) -> str: ...
    @property
    def processor(self) -> str: ...
    @property
    def cores(self) -> int: ...
    @property
    def versions(self) -> dict[str, str]: ...
    @property
    def runs(self) -> Sequence[AnyRun]: ...


def where(results: AnyResults) -> list[str]:
    """Which command ran when, where and beside what, with which versions."""
    loads = [run.load for run in results.runs]
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return [
        f"`{results.command}` on {results.at}: {results.processor}, {results.cores} cores, shared with whatever else",
        f"ran (load average before a run {min(loads):.1f} to {max(loads):.1f}); {versions}.",
    ]


def rounds_of(runs: Sequence[AnyRun]) -> list[int]:
    """The numbers of the rounds."""
    return sorted({run.round for run in runs})


def ratios_of(runs: Sequence[SomeRun], key: str, base: str, rate: Callable[[SomeRun], float]) -> list[float]:
    """The rate of `key` over that of `base`, for every round that has both."""
    rates = {(run.contestant, run.round): rate(run) for run in runs}
    both = [r for r in rounds_of(runs) if (key, r) in rates and (base, r) in rates]
    return [rates[key, r] / rates[base, r] for r in both]


def _of_turns(results: Results) -> str:
    return (
        f"{results.turns:,} turns of {results.turn_bytes:.0f} bytes in {results.partitions} partitions, "
        f"{len(rounds_of(results.runs))} rounds, on a broker of the same machine; in a round one contestant after the "
        "other, the order turned by one each round."
    )


def ratios(runs: Sequence[Run], key: str, base: str) -> list[float]:
    """The turns per second of `key` over those of `base`, for every round that has both."""
    return ratios_of(runs, key, base, lambda run: run.turns_per_s)


def _row(runs: Sequence[Run], key: str, title: str) -> str:
    mine = [run for run in runs if run.contestant == key]
    cells = [
        title,
        spread((run.turns_per_s for run in mine), "{:,.0f}"),
        spread(ratios(runs, key, BASE), "{:.2f}") if key != BASE else "1",
        spread(ratios(runs, key, PEER), "{:.2f}") if key != PEER else "1",
        f"{median(run.cpu_us for run in mine):.1f}",
        f"{median(run.bytes_written for run in mine):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def spread(values: Iterable[float], form: str) -> str:
    some = sorted(values)
    if not some:
        return "–"
    low, middle, high = (form.format(value) for value in (some[0], median(some), some[-1]))
    return middle if low == high else f"{middle} ({low} to {high})"


def _goals(runs: Sequence[Run], titles: dict[str, str]) -> list[str]:
    """Whether each worker reached the goals, in every round or only by its median."""
    lines = []
    for key in (key for key in titles if key.startswith("worker")):
        for base, least, words in GOALS:
            found = ratios(runs, key, base)
            if found:
                lines.append(f"- {titles[key].strip('*')}: {words}: {judged(found, least)}.")
    return lines


def judged(found: Sequence[float], least: float) -> str:
    if min(found) >= least:
        return "reached in every round"
    return "reached by the median, not in every round" if median(found) >= least else "**not reached**"
