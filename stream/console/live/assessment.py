"""Is it well? What an operator should look at first, said in one line each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Level = Literal["bad", "warn"]

WAITS_LONG, WAITS_TOO_LONG = 10.0, 60.0
"""Seconds that the turns which wait now need at the pace of late. A conversation does not wait longer than ten; after a
minute it has gone on unmoderated."""
FEW: Final = 50
"""Turns: so many wait between two commits even when nothing is wrong."""
SLOW_MS, TOO_SLOW_MS = 2_000.0, 10_000.0
"""The 99th percentile from broker to decision: above the first a person notices, the second is an expert's time-out."""
SICK, DEAD = 0.02, 0.5
"""Shares of turns on which an expert timed out or failed."""
ASKED_LEAST: Final = 20
"""Turns below which a share says nothing."""
REJECTED, REJECTED_MANY = 0.001, 0.05
"""Dead letters, of all turns and labels of late."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is judged. Times in ms and s, rates per second, `letters` and `inputs` counts over five minutes; `experts`
    as `advice.Advice.told` gives them."""

    broker: str
    reason: str
    workers: int
    unowned: int
    waiting: int
    pace: float
    growing: bool
    p99: float | None
    experts: Mapping[str, Mapping[str, Any]]
    letters: float
    inputs: float
    unscored: float
    regret_alarms: int
    worse: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at. `about` is the part of the page that shows more of it."""

    level: Level
    about: str
    text: str


def assess(figures: Figures) -> list[Finding]:
    """What is not well, the worst first; empty when all is."""
    if figures.broker == "down":
        return [Finding("bad", "broker", f"the broker is away: {figures.reason}")]
    if figures.broker == "no topics":
        return [Finding("bad", "broker", figures.reason)]
    found = [*_work(figures), *_quality(figures)]
    return sorted(found, key=lambda finding: finding.level != "bad")


def _work(figures: Figures) -> Iterator[Finding]:
    if not figures.workers:
        waits = f", and {figures.waiting:,} turns wait" if figures.waiting else ""
        yield Finding("bad" if figures.waiting else "warn", "partitions", f"no worker runs{waits}")
    elif figures.unowned:
        yield Finding("bad", "partitions", f"{_many(figures.unowned, 'partition')} without a worker")
    if figures.workers and figures.waiting > FEW:
        seconds = figures.waiting / figures.pace if figures.pace > 0.0 else None
        if seconds is None or seconds > WAITS_LONG or figures.growing:
            level: Level = "bad" if seconds is None or seconds > WAITS_TOO_LONG else "warn"
            pace = "and none is decided" if seconds is None else f"{seconds:,.0f} s of work"
            grows = ", and more every moment" if figures.growing else ""
            yield Finding(level, "partitions", f"{figures.waiting:,} turns wait, {pace}{grows}")
    if figures.p99 is not None and figures.p99 > SLOW_MS:
        level = "bad" if figures.p99 > TOO_SLOW_MS else "warn"
        yield Finding(level, "latency", f"one verdict in a hundred takes over {figures.p99 / 1000:.1f} s")


def _quality(figures: Figures) -> Iterator[Finding]:
    if figures.regret_alarms:
        several = _many(figures.regret_alarms, "context")
        yield Finding("bad", "alarms", f"regret above its bound in {several}: a bug or a wrong label stream")
    for name, told in figures.experts.items():
        failed = told["timeout"] + told["error"]
        if told["turns"] >= ASKED_LEAST and failed > SICK:
            which = "times out" if told["timeout"] >= told["error"] else "fails"
            yield Finding("bad" if failed > DEAD else "warn", "experts", f"{name} {which} on {failed:.0%} of turns")
    if figures.unscored:
        yield Finding("warn", "experts", f"{_many(int(figures.unscored), 'turn')} with no expert awake in 5 minutes")
    if figures.letters and figures.letters > REJECTED * figures.inputs:
        level: Level = "bad" if figures.letters > REJECTED_MANY * figures.inputs else "warn"
        yield Finding(level, "letters", f"{_many(int(figures.letters), 'dead letter')} in 5 minutes")
    if figures.worse:
        yield Finding("warn", "alarms", f"losses are worse than their long run in {_many(figures.worse, 'context')}")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
