"""What goes wrong, and when: a seed gives a list of actions. Pure, so that a failure is run again from its seed.

An action waits for a moment in the life of its worker and not for a time of day: on a slow machine a worker takes
longer to start, and faults by the clock would then all hit workers that have not begun to work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

PATIENCE_SECONDS = 4.0
"""Between two faults, about: the flow is spread over so long, and then thins out."""
COORDINATOR, LEADER = -1, -2
"""Brokers by what they do just then: the group's coordinator, or the leader of the first partition of turns."""


class Deed(StrEnum):
    """What is done."""

    KILL = "kill"
    """SIGKILL to a worker; its supervisor starts it again."""
    PAUSE = "pause"
    """SIGSTOP to a worker, and SIGCONT after `lasting` seconds."""
    JOIN = "join"
    """A worker that does not run is started."""
    LEAVE = "leave"
    """SIGTERM to a worker; it must end with exit code 0, and is not started again."""
    BROKER_KILL = "broker kill"
    """SIGKILL to a broker; started again after `lasting` seconds."""
    BROKER_STOP = "broker stop"
    """A broker ends cleanly; started again after `lasting` seconds."""
    CUT = "cut"
    """The network between a worker and the brokers is as bad as `how` says, for `lasting` seconds."""
    FULL = "disk full"
    """No room where a worker keeps its state, for `lasting` seconds; halfway it is killed, and must start so."""
    CORRUPT = "corrupt"
    """A worker leaves, bytes of its state are flipped, and it is started again."""
    CLOCK = "clock"
    """A worker's clock is `amount` seconds off, for `lasting` seconds."""
    EXPERT = "expert"
    """Experts of a worker fail as `how` says, for `lasting` seconds."""
    GROW = "grow"
    """The topics get `amount` partitions."""
    REPLACE = "replace"
    """A worker leaves, and another version (`how`: old or new) takes its place."""


BROKERS = frozenset({Deed.BROKER_KILL, Deed.BROKER_STOP})
"""Deeds whose target is a broker."""
ON_DISK = frozenset({Deed.FULL, Deed.CORRUPT})
"""Deeds to a state that is on a disk."""
NOBODY = frozenset({*BROKERS, Deed.GROW})
"""Deeds to no worker."""


class Moment(StrEnum):
    """From when an action's delay is counted. Of deeds to no worker: of whichever worker comes first."""

    SPAWNED = "spawned"
    """Its worker's process was started, long ago or just now: the fault may hit imports, the rebalance, recovery."""
    READY = "ready"
    """Its worker owns partitions, since long ago or just now."""
    BURST = "burst"
    """It owns partitions, and messages were just sent to it in one burst: the fault hits writes that are under way."""
    PREVIOUS = "previous"
    """The action before it is done, and lasts: two faults at once."""


@dataclass(frozen=True)
class Action:
    """One fault: `deed` to worker (or broker) number `target`, `delay` seconds after `moment`."""

    deed: Deed
    target: int
    moment: Moment
    delay: float
    lasting: float = 0.0
    """Seconds."""
    amount: float = 0.0
    how: str = ""

    @property
    def name(self) -> str:
        """As it is counted."""
        return f"{self.deed}, {self.how}" if self.how else self.deed.value


@dataclass(frozen=True)
class Plan:
    """Everything that is random about the faults of a run. Times are in seconds."""

    name: str
    seed: int
    workers: int
    """Slots, numbered from 0."""
    start: int
    """How many of them run from the beginning."""
    session: float
    actions: tuple[Action, ...]
    expert_seconds: float = 0.05
    """How long the experts take for a batch."""
    nodes: int = 0
    """Brokers of the run's own, which it may harm; 0: any broker will do, and none is harmed."""
    poison: float = 0.0
    """Messages that cannot be used, or hardly, for each that can."""
    expert_timeout: float = 10.0
    write_timeout: float = 30.0

    def count(self, *deeds: Deed) -> int:
        """How often something is done."""
        return sum(action.deed in deeds for action in self.actions)

    def without(self, *deeds: Deed) -> Plan:
        """The same where something cannot be done."""
        return replace(self, actions=tuple(action for action in self.actions if action.deed not in deeds))


Scenario = Callable[..., Plan]


def with_session(plan: Plan, session: float) -> Plan:
    """The same faults for another session time-out, in seconds: what must outlast it lasts in proportion."""
    scale = session / plan.session
    actions = tuple(replace(action, lasting=action.lasting * scale) for action in plan.actions)
    return replace(plan, session=session, actions=actions)


def released(before: int, since: float, left: int, total: int, burst: bool = False) -> int:
    """How many of `total` messages may have been sent by now: `before` by the time of the last fault, which is `since`
    seconds ago, and `left` faults are to come.

    Each fault has its share of what is left, so that it meets traffic whatever the machine's speed. Half of the share
    flows, ever thinner; the other half comes in one burst when the fault asks for it. What is left after the last fault
    follows at once."""
    if not left:
        return total
    share = (total - before) / (left + 1)
    return before + int(share if burst else share / 2 * (1 - math.exp(-since / PATIENCE_SECONDS)))
