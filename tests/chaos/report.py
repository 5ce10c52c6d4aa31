"""From outcomes to a page of Markdown and to JSON. Pure: no clock, no broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from chaos.deeds import REFUSED
from chaos.nemesis import Outcome
from chaos.pieces import BAR, BAR_LABELS, BAR_TURNS, Piece

HEAD = """\
| scenario | runs | turns | labels | bad | verdicts | dead letters | starts | refused | moments off by | problems |
|---|---|---|---|---|---|---|---|---|---|---|"""
DEEDS = """\
| scenario | what was done |
|---|---|"""
TOTALS = """\
| | done | asked for |
|---|---|---|"""
NOTES = """\
A run is a seeded plan of faults over live traffic: turns, some sent twice, and labels that come late, early, twice,
corrected, from several people and by the wrong hash. Most faults fall in the 150 ms after a burst of messages, the
others in starts, recoveries and quieter moments. When all is read, an oracle judges the topics: every turn has a
verdict, all verdicts of a turn are the same bytes, every label is learned once, as corrected, the moments are those
of an offline replay (to 1e-9), every message that cannot be used is a dead letter with its bytes, nothing that can be
used is one, and nothing else was written. More verdicts than turns: turns read again after a fault, and published
again. Refused: processes that met a newer owner's epoch, or a broker that did not answer in time, and ended, as they
must. A process that ends in any other way than its fault allows, does not become ready, or leaves a traceback is a
problem too. A run in which the harness itself failed is listed as such: it says nothing of the worker."""


class Run(Struct, frozen=True):
    """One outcome, as it is kept in JSON."""

    scenario: str
    seed: int
    store: str
    turns: int
    labels: int
    bad: int
    """Messages besides, of which few can be used."""
    verdicts: int
    votes: int
    letters: int
    moments_off_by: float
    seconds: float
    starts: int
    holes: int
    faults: dict[str, int]
    """How often each deed was done."""
    endings: dict[str, int]
    """Processes by exit code."""
    problems: tuple[str, ...]
    broken: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def piece(self) -> Piece:
        return Piece(self.scenario, self.seed, self.store, self.turns, self.labels)

    @property
    def passed(self) -> bool:
        return not self.problems and not self.broken


class Results(Struct, frozen=True):
    """One command: where, and every run."""

    at: str
    command: str
    cores: int
    runs: tuple[Run, ...]


def run_of(outcome: Outcome) -> Run:
    """What is kept of an outcome."""
    found = outcome.findings
    codes = Counter(str(ending.code) for ending in outcome.endings)
    return Run(
        scenario=outcome.plan.name,
        seed=outcome.plan.seed,
        store=outcome.store,
        turns=outcome.turns,
        labels=outcome.labels,
        bad=int(outcome.plan.poison * outcome.turns) + int(outcome.plan.poison * outcome.labels),
        verdicts=found.verdicts,
        votes=found.votes,
        letters=found.letters,
        moments_off_by=found.distance,
        seconds=outcome.seconds,
        starts=outcome.starts,
        holes=outcome.holes,
        faults=dict(sorted(Counter(fault.action.name for fault in outcome.faults).items())),
        endings=dict(sorted(codes.items())),
        problems=tuple(outcome.problems),
        broken=tuple(outcome.broken),
        left_out=tuple(outcome.left_out),
    )


def render(results: Results) -> str:
    """The page: a row for each scenario and store, what was done in it, the sums, then every problem."""
    runs = results.runs
    kinds = list(dict.fromkeys((run.scenario, run.store) for run in runs))
    by_kind = {kind: [run for run in runs if (run.scenario, run.store) == kind] for kind in kinds}
    names = list(dict.fromkeys(run.scenario for run in runs))
    minutes = sum(run.seconds for run in runs) / 60
    lines = [
        "# What holds when workers, brokers and networks fail",
        "",
        f"`{results.command}` on {results.at}, {results.cores} cores: {len(runs)} runs in {minutes:.0f} minutes.",
        "",
        HEAD,
        *(_row(", ".join(kind), by_kind[kind]) for kind in kinds),
        "",
        DEEDS,
        *(f"| {name} | {_done(run for run in runs if run.scenario == name)} |" for name in names),
        "",
        TOTALS,
        *(f"| {what} | {done:,} | {asked:,} |" for what, done, asked in _totals(runs)),
        "",
        NOTES,
        *_listed("Not run", (f"{run.scenario}: {what}" for run in runs for what in run.left_out)),
        *_listed("Problems", (f"{_named(run)}: {problem}" for run in runs for problem in run.problems)),
        *_listed("Runs in which the harness failed", (f"{_named(run)}: {what}" for run in runs for what in run.broken)),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, runs: Sequence[Run]) -> str:
    summed = ("turns", "labels", "bad", "verdicts", "letters", "starts")
    sums = [sum(getattr(run, field) for run in runs) for field in summed]
    refused = sum(run.endings.get(str(code), 0) for run in runs for code in REFUSED)
    worst, problems = max(run.moments_off_by for run in runs), sum(len(run.problems) for run in runs)
    cells = [name, *(f"{number:,}" for number in [len(runs), *sums, refused]), f"{worst:.0e}", str(problems)]
    return f"| {' | '.join(cells)} |"


def _done(runs: Iterable[Run]) -> str:
    deeds: Counter[str] = Counter()
    for run in runs:
        deeds.update(run.faults)
    return "; ".join(f"{count} {name}" for name, count in sorted(deeds.items()))


def _totals(runs: Sequence[Run]) -> Iterator[tuple[str, int, int]]:
    """What was done in all, and what was asked for."""
    for what, (deeds, asked) in BAR.items():
        names = {deed.value for deed in deeds}
        yield what, sum(count for run in runs for name, count in run.faults.items() if name in names), asked
    yield "turns", sum(run.turns for run in runs), BAR_TURNS
    yield "labels", sum(run.labels for run in runs), BAR_LABELS


def _named(run: Run) -> str:
    return f"{run.scenario} seed {run.seed} ({run.store})"


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    found = [f"- {line}" for line in dict.fromkeys(lines)]
    return ["", f"## {title}", "", *found] if found else []
