"""From outcomes to a page of Markdown and to JSON. Pure: no clock, no broker."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from chaos.nemesis import REFUSED, Outcome
from chaos.plan import Deed

HEAD = """\
| scenario | runs | kills | pauses | joins | leaves | turns | labels | verdicts | refused | moments off by | problems |
|---|---|---|---|---|---|---|---|---|---|---|---|"""
NOTES = """\
A run is a seeded plan of faults over live traffic: turns, some sent twice, and labels that come late, early, twice,
corrected, from several people and by the wrong hash. Most faults fall in the 150 ms after a burst of messages, the
others in starts, recoveries and quieter moments. When all is read, an oracle judges the topics: every turn has a
verdict, all verdicts of a turn are the same bytes, every label is learned once, the moments are those of an offline
replay (to 1e-9), nothing that can be used is a dead letter. More verdicts than turns: turns read again after a fault,
and published again. Refused: processes that met a newer owner's epoch and ended, as they must. A process that
ends in any other way, does not become ready, or leaves a traceback is a problem too."""


class Run(Struct, frozen=True):
    """One outcome, as it is kept in JSON."""

    scenario: str
    seed: int
    store: str
    turns: int
    labels: int
    verdicts: int
    votes: int
    moments_off_by: float
    seconds: float
    starts: int
    holes: int
    faults: dict[str, int]
    """How often each deed was done."""
    endings: dict[str, int]
    """Processes by exit code."""
    problems: tuple[str, ...]


class Results(Struct, frozen=True):
    """One command: where, and every run."""

    at: str
    command: str
    cores: int
    runs: tuple[Run, ...]


def run_of(outcome: Outcome) -> Run:
    """What is kept of an outcome."""
    found = outcome.findings
    codes = [str(ending.code) for ending in outcome.endings]
    deeds = [fault.action.deed for fault in outcome.faults]
    return Run(
        scenario=outcome.plan.name,
        seed=outcome.plan.seed,
        store=outcome.store,
        turns=found.turns,
        labels=outcome.labels,
        verdicts=found.verdicts,
        votes=found.votes,
        moments_off_by=found.distance,
        seconds=outcome.seconds,
        starts=outcome.starts,
        holes=outcome.holes,
        faults={deed.value: deeds.count(deed) for deed in Deed if deed in deeds},
        endings={code: codes.count(code) for code in sorted(set(codes))},
        problems=tuple(outcome.problems),
    )


def render(results: Results) -> str:
    """The page: a row for each scenario and store, then every problem."""
    kinds = sorted({(run.scenario, run.store) for run in results.runs})
    minutes = sum(run.seconds for run in results.runs) / 60
    runs = f"{len(results.runs)} runs in {minutes:.0f} minutes"
    lines = [
        "# What holds when workers die",
        "",
        f"`{results.command}` on {results.at}, {results.cores} cores: {runs}.",
        "",
        HEAD,
        *(_row(kind, [run for run in results.runs if (run.scenario, run.store) == kind]) for kind in kinds),
        "",
        NOTES,
    ]
    problems = [f"- {run.scenario} seed {run.seed} ({run.store}): {p}" for run in results.runs for p in run.problems]
    return "\n".join([*lines, *(["", "## Problems", "", *problems] if problems else [])]) + "\n"


def _row(kind: tuple[str, str], runs: Sequence[Run]) -> str:
    deeds = [sum(run.faults.get(deed.value, 0) for run in runs) for deed in Deed]
    refused = sum(run.endings.get(str(code), 0) for run in runs for code in REFUSED)
    sums = [sum(getattr(run, name) for run in runs) for name in ("turns", "labels", "verdicts")]
    worst, problems = max(run.moments_off_by for run in runs), sum(len(run.problems) for run in runs)
    numbers = [len(runs), *deeds, *sums, refused]
    cells = [f"{kind[0]}, {kind[1]}", *(f"{number:,}" for number in numbers), f"{worst:.0e}", str(problems)]
    return f"| {' | '.join(cells)} |"
