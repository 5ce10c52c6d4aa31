"""What goes wrong, and when: a seed gives a list of actions. Pure, so that a failure is run again from its seed.

An action waits for a moment in the life of its worker and not for a time of day: on a slow machine a worker takes
longer to start, and faults by the clock would then all hit workers that have not begun to work.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

BURST_SECONDS = 0.15
"""From a burst's first byte to its last commit, about: measured 20 to 100 ms for 300 messages."""
PATIENCE_SECONDS = 4.0
"""Between two faults, about: the flow is spread over so long, and then thins out."""


class Deed(StrEnum):
    """What is done to a worker."""

    KILL = "kill"
    """SIGKILL; its supervisor starts it again."""
    PAUSE = "pause"
    """SIGSTOP, and SIGCONT after `lasting` seconds."""
    JOIN = "join"
    """A worker that does not run is started."""
    LEAVE = "leave"
    """SIGTERM; it must end with exit code 0, and is not started again."""


class Moment(StrEnum):
    """From when an action's delay is counted."""

    SPAWNED = "spawned"
    """Its worker's process was started, long ago or just now: the fault may hit imports, the rebalance, recovery."""
    READY = "ready"
    """Its worker owns partitions, since long ago or just now."""
    BURST = "burst"
    """It owns partitions, and messages were just sent to it in one burst: the fault hits writes that are under way."""
    PREVIOUS = "previous"
    """The action before it is done: two faults at once."""


@dataclass(frozen=True)
class Action:
    """One fault: `deed` to worker number `worker`, `delay` seconds after `moment`."""

    deed: Deed
    worker: int
    moment: Moment
    delay: float
    lasting: float = 0.0
    """Of a pause, seconds."""


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

    def count(self, deed: Deed) -> int:
        """How often something is done."""
        return sum(action.deed is deed for action in self.actions)


def killed(seed: int, kills: int = 20, workers: int = 2, session: float = 3.0) -> Plan:
    """SIGKILL at random moments: most while turns are being scored, some in the start and in recovery, some of two
    workers at once."""
    rng = random.Random(f"killed {seed}")
    actions = tuple(_kill(rng, rng.randrange(workers), session) for _ in range(kills))
    return Plan("killed", seed, workers, workers, session, actions)


def paused(seed: int, pauses: int = 5, workers: int = 3, session: float = 3.0) -> Plan:
    """SIGSTOP past the session time-out, so that the partitions have another owner when the worker wakes."""
    rng = random.Random(f"paused {seed}")
    actions = tuple(_pause(rng, rng.randrange(workers), session) for _ in range(pauses))
    return Plan("paused", seed, workers, workers, session, actions)


def scaled(seed: int, changes: int = 8, workers: int = 3, session: float = 3.0) -> Plan:
    """Workers join and leave while the flow runs; the first two changes are joins, and one worker always stays."""
    rng = random.Random(f"scaled {seed}")
    return Plan("scaled", seed, workers, 1, session, tuple(_changes(rng, changes, workers)))


def storm(seed: int, faults: int = 60, workers: int = 3, session: float = 3.0) -> Plan:
    """All of it mixed: the longer form, for the command."""
    rng = random.Random(f"storm {seed}")
    actions: list[Action] = []
    away: int | None = None
    while len(actions) < faults:
        if away is not None:
            actions.append(Action(Deed.JOIN, away, Moment.PREVIOUS, rng.uniform(0.0, 3.0)))
            away = None
            continue
        worker, deed = rng.randrange(workers), rng.choices([Deed.KILL, Deed.PAUSE, Deed.LEAVE], [5, 2, 2])[0]
        if deed is Deed.LEAVE:
            actions.append(Action(Deed.LEAVE, worker, *_at_work(rng)))
            away = worker
        else:
            actions.append((_kill if deed is Deed.KILL else _pause)(rng, worker, session))
    return Plan("storm", seed, workers, workers, session, tuple(actions), rng.choice([0.0, 0.05, 0.2]))


SCENARIOS: dict[str, Callable[..., Plan]] = {"killed": killed, "paused": paused, "scaled": scaled, "storm": storm}
"""By the name of the command; each takes a seed, and optionally how many faults."""


def _kill(rng: random.Random, worker: int, session: float) -> Action:
    moment = rng.choices([Moment.BURST, Moment.READY, Moment.SPAWNED, Moment.PREVIOUS], [9, 3, 5, 2])[0]
    longest = {Moment.BURST: BURST_SECONDS, Moment.READY: 2.0, Moment.SPAWNED: 2 * session, Moment.PREVIOUS: 0.3}
    return Action(Deed.KILL, worker, moment, rng.uniform(0.0, longest[moment]))


def _pause(rng: random.Random, worker: int, session: float) -> Action:
    moment, delay = _at_work(rng)
    return Action(Deed.PAUSE, worker, moment, delay, session * rng.uniform(1.3, 2.2))


def _at_work(rng: random.Random) -> tuple[Moment, float]:
    """A moment at which the worker owns partitions, and a delay."""
    if rng.random() < 0.75:
        return Moment.BURST, rng.uniform(0.0, BURST_SECONDS)
    return Moment.READY, rng.uniform(0.0, 2.0)


def _changes(rng: random.Random, changes: int, workers: int) -> Iterator[Action]:
    running = {0}
    for number in range(changes):
        absent = sorted(set(range(workers)) - running)
        if absent and (number < workers - 1 or len(running) == 1 or rng.random() < 0.5):
            worker = rng.choice(absent)
            running.add(worker)
            yield Action(Deed.JOIN, worker, Moment.PREVIOUS, rng.uniform(0.0, 2.0))
        else:
            worker = rng.choice(sorted(running))
            running.remove(worker)
            moment, delay = _at_work(rng) if rng.random() < 0.75 else (Moment.SPAWNED, rng.uniform(0.0, 2.0))
            yield Action(Deed.LEAVE, worker, moment, delay)


def with_session(plan: Plan, session: float) -> Plan:
    """The same faults for another session time-out, in seconds: pauses last in proportion."""
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
