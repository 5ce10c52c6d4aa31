"""What a worker is doing, in one word of a closed set and one line: what `/healthz`, `/readyz` and the metrics tell.
Facts in, an answer out: no clock, no loop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from stream.topics import METADATA_MS

SILENCE_SECONDS: Final = 3 * METADATA_MS / 1000
"""Without an answer from any broker, asked every METADATA_MS: a leader that moves takes two looks at most."""
STALL_SHARE: Final = 0.5
"""Of the stall time-out, at which the worker ends: from then on it says so."""


class State(StrEnum):
    """In the order in which they are looked for: the first that holds is told."""

    DRAINING = "draining"
    EXPERT_DEAD = "expert_dead"
    STARTING = "starting"
    CATCHING_UP = "catching_up"
    RECOVERING = "recovering"
    BROKER_SILENT = "broker_silent"
    STALLED = "stalled"
    READY = "ready"


class Condition(NamedTuple):
    """`why` is one line for a person, empty where all is well."""

    state: State
    why: str = ""

    @property
    def is_ready(self) -> bool:
        """Are turns being judged, or would they be?"""
        return self.state is State.READY

    @property
    def needs_restart(self) -> bool:
        """Is a restart what mends it? A broker that is gone is not mended by one, nor does a recovery end sooner."""
        return self.state is State.EXPERT_DEAD


@dataclass(frozen=True, slots=True)
class Facts:
    """`failure`: which thread of its experts died. `trouble`: why no partition is worked on. `view_left`: what the
    merged view still lacks, None once it has caught up. Seconds: `silence` of the broker, `stood` of the partition that
    has stood longest, `stall` after which the worker ends."""

    is_stopping: bool
    is_started: bool
    failure: str | None
    trouble: str | None
    is_restoring: bool
    view_left: int | None
    silence: float
    stood: float
    stall: float


def condition_of(facts: Facts) -> Condition:
    """The first of the states that holds."""
    if facts.is_stopping:
        return Condition(State.DRAINING, "draining: it was told to end, and finishes what it has begun")
    if facts.failure is not None:
        return Condition(State.EXPERT_DEAD, facts.failure)
    if not facts.is_started:
        return Condition(State.STARTING, "starting: it checks its topics and joins its group")
    if facts.trouble is not None:
        if facts.view_left is not None and not facts.is_restoring:
            left = f"{facts.view_left:,} records of moments.v1 left"
            return Condition(State.CATCHING_UP, f"reading what all workers have learned: {left}")
        return Condition(State.RECOVERING, facts.trouble)
    if facts.silence > SILENCE_SECONDS:
        return Condition(State.BROKER_SILENT, f"no broker has answered for {facts.silence:.0f} s")
    if facts.stood > STALL_SHARE * facts.stall:
        end = f"at {facts.stall:g} s the worker ends"
        return Condition(State.STALLED, f"records wait in a partition that has stood for {facts.stood:.0f} s: {end}")
    return Condition(State.READY)
