"""The scenarios by name. Pure: a seed gives a plan."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

from chaos.control import MODES
from chaos.network import Weather
from chaos.plan import COORDINATOR, LEADER, Action, Deed, Moment, Plan, Scenario

BURST_SECONDS = 0.15
"""From a burst's first byte to its last commit, about: measured 20 to 100 ms for 300 messages."""
SESSION = 3.0
PARTITIONS = 4
WEATHERS = tuple(weather.value for weather in Weather if weather is not Weather.CLEAR)
DAY = 86400.0
CLOCKS = (-2 * DAY, -3600.0, -10.0, 10.0, 3600.0, 2 * DAY)
"""Seconds off. Further than the label horizon (7 days) would be another matter: pending turns then expire."""
POISON = 0.25
"""Unusable messages for each usable one."""
MIX: Mapping[Deed, float] = {
    Deed.KILL: 8, Deed.PAUSE: 3, Deed.LEAVE: 2, Deed.BROKER_KILL: 1, Deed.BROKER_STOP: 1, Deed.CUT: 2, Deed.FULL: 1,
    Deed.CORRUPT: 1, Deed.CLOCK: 1, Deed.EXPERT: 2, Deed.GROW: 1,
}  # fmt: skip
"""How often each deed comes when all are mixed."""


def killed(seed: int, kills: int = 20, workers: int = 2) -> Plan:
    """SIGKILL at random moments: most while turns are being scored, some in the start and in recovery, some of two
    workers at once."""
    rng = random.Random(f"killed {seed}")
    actions = tuple(_kill(rng, rng.randrange(workers)) for _ in range(kills))
    return Plan("killed", seed, workers, workers, SESSION, actions)


def paused(seed: int, pauses: int = 5, workers: int = 3) -> Plan:
    """SIGSTOP past the session time-out, so that the partitions have another owner when the worker wakes."""
    rng = random.Random(f"paused {seed}")
    actions = tuple(_pause(rng, rng.randrange(workers)) for _ in range(pauses))
    return Plan("paused", seed, workers, workers, SESSION, actions)


def scaled(seed: int, changes: int = 8, workers: int = 3) -> Plan:
    """Workers join and leave while the flow runs; the first two changes are joins, and one worker always stays."""
    rng = random.Random(f"scaled {seed}")
    return Plan("scaled", seed, workers, 1, SESSION, tuple(_changes(rng, changes, workers)))


def storm(seed: int, faults: int = 60, workers: int = 3) -> Plan:
    """Kills, pauses, leaves and joins mixed."""
    rng = random.Random(f"storm {seed}")
    mix = {Deed.KILL: 5.0, Deed.PAUSE: 2.0, Deed.LEAVE: 2.0}
    actions = _mixed(rng, faults, workers, mix)
    return Plan("storm", seed, workers, workers, SESSION, actions, rng.choice([0.0, 0.05, 0.2]))


def rebalances(seed: int, changes: int = 40, workers: int = 3) -> Plan:
    """Somebody leaves and comes back every second, so that the group is never done with its last change."""
    rng = random.Random(f"rebalances {seed}")
    actions: list[Action] = []
    for number in range(changes // 2):
        worker = number % workers
        if rng.random() < 0.3:
            actions.append(Action(Deed.KILL, worker, Moment.SPAWNED, rng.uniform(0.0, 1.0)))
            continue
        moment = Moment.READY if number % 5 == 0 else Moment.SPAWNED
        actions.append(Action(Deed.LEAVE, worker, moment, rng.uniform(0.0, 1.0)))
        actions.append(Action(Deed.JOIN, worker, Moment.PREVIOUS, rng.uniform(0.0, 1.0)))
    return Plan("rebalances", seed, workers, workers, SESSION, tuple(actions))


def brokers(seed: int, restarts: int = 6, workers: int = 2) -> Plan:
    """The only broker is killed, or stopped, and started again; sometimes a worker dies meanwhile."""
    rng = random.Random(f"brokers {seed}")
    actions: list[Action] = []
    for number in range(restarts):
        actions.append(_restart(rng, Deed.BROKER_KILL if number % 3 else Deed.BROKER_STOP, 1))
        if rng.random() < 0.4:
            actions.append(Action(Deed.KILL, rng.randrange(workers), Moment.PREVIOUS, rng.uniform(0.0, 2.0)))
    return Plan("brokers", seed, workers, workers, SESSION, tuple(actions), nodes=1)


def cluster(seed: int, restarts: int = 6, workers: int = 2) -> Plan:
    """Of three brokers one is killed, or stopped, and started again: any, the group's coordinator, a leader."""
    rng = random.Random(f"cluster {seed}")
    actions: list[Action] = []
    for number in range(restarts):
        target = (COORDINATOR, LEADER, rng.randrange(3))[number % 3]
        deed = Deed.BROKER_STOP if number % 4 == 3 else Deed.BROKER_KILL
        actions.append(replace(_restart(rng, deed, 3), target=target))
        if rng.random() < 0.4:
            actions.append(Action(Deed.KILL, rng.randrange(workers), Moment.PREVIOUS, rng.uniform(0.0, 2.0)))
    return Plan("cluster", seed, workers, workers, SESSION, tuple(actions), nodes=3)


def network(seed: int, cuts: int = 10, workers: int = 3) -> Plan:
    """The network of a worker is cut in every way, mostly past its session; one cut outlasts its write time-out."""
    rng = random.Random(f"network {seed}")
    actions = [
        replace(_cut(rng, rng.randrange(workers)), how=WEATHERS[number % len(WEATHERS)]) for number in range(cuts)
    ]
    actions[1] = replace(actions[1], lasting=12.0)
    return Plan("network", seed, workers, workers, SESSION, tuple(actions), nodes=1, write_timeout=10.0)


def disk(seed: int, faults: int = 8, workers: int = 2) -> Plan:
    """Where a worker keeps its state there is no room, or other bytes than it wrote."""
    rng = random.Random(f"disk {seed}")
    deeds = [Deed.FULL if number % 2 else Deed.CORRUPT for number in range(faults)]
    actions = tuple(_any(rng, deed, rng.randrange(workers)) for deed in deeds)
    return Plan("disk", seed, workers, workers, SESSION, actions)


def clock(seed: int, changes: int = 10, workers: int = 3) -> Plan:
    """The clock of one worker is off by seconds, hours or days, and right again later."""
    rng = random.Random(f"clock {seed}")
    actions = []
    for number in range(changes):
        action = _any(rng, Deed.CLOCK, rng.randrange(workers))
        actions.append(replace(action, amount=CLOCKS[number % len(CLOCKS)]))
    return Plan("clock", seed, workers, workers, SESSION, tuple(actions))


def experts(seed: int, faults: int = 12, workers: int = 2) -> Plan:
    """Experts are slower than they may be, raise, answer NaN, or take their process with them."""
    rng = random.Random(f"experts {seed}")
    actions = []
    for number in range(faults):
        action = _any(rng, Deed.EXPERT, rng.randrange(workers))
        actions.append(replace(action, how=MODES[number % len(MODES)]))
    return Plan("experts", seed, workers, workers, SESSION, tuple(actions), expert_timeout=1.0)


def poison(seed: int, kills: int = 6, workers: int = 2) -> Plan:
    """As many messages that cannot be used as can, of every kind, and workers are killed meanwhile."""
    rng = random.Random(f"poison {seed}")
    actions = tuple(_kill(rng, rng.randrange(workers)) for _ in range(kills))
    return Plan("poison", seed, workers, workers, SESSION, actions, poison=1.0)


def growth(seed: int, growths: int = 2, workers: int = 2) -> Plan:
    """The topics get more partitions under way; labels of turns scored before still find them."""
    rng = random.Random(f"growth {seed}")
    actions: list[Action] = []
    for number in range(growths):
        actions += [_kill(rng, rng.randrange(workers)) for _ in range(2)]
        actions.append(Action(Deed.GROW, 0, *_at_work(rng), amount=PARTITIONS + number + 1))
        actions.append(replace(_kill(rng, rng.randrange(workers)), moment=Moment.PREVIOUS, delay=rng.uniform(0, 3.0)))
    return Plan("growth", seed, workers, workers, SESSION, (*actions, _kill(rng, 0)))


def versions(seed: int, workers: int = 3) -> Plan:
    """Every worker is of the old version, then one by one of the new, and back, and some are killed meanwhile."""
    rng = random.Random(f"versions {seed}")
    actions: list[Action] = []
    for version in ("old", "new", "old", "new"):
        for worker in rng.sample(range(workers), workers):
            actions.append(Action(Deed.REPLACE, worker, *_at_work(rng), how=version))
            if rng.random() < 0.3:
                actions.append(_kill(rng, rng.randrange(workers)))
    return Plan("versions", seed, workers, workers, SESSION, tuple(actions))


def everything(seed: int, faults: int = 30, workers: int = 3, mix: Mapping[Deed, float] = MIX) -> Plan:
    """All of it at once; `mix` says how often each comes."""
    rng = random.Random(f"everything {seed}")
    actions = _mixed(rng, faults, workers, mix)
    return Plan(
        "everything", seed, workers, workers, SESSION, actions, rng.choice([0.0, 0.05, 0.2]),
        nodes=1, poison=POISON, expert_timeout=2.0, write_timeout=15.0,
    )  # fmt: skip


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        killed, paused, scaled, storm, rebalances, brokers, cluster, network, disk, clock, experts, poison, growth,
        versions, everything,
    )
}  # fmt: skip
"""By the name of the command; each takes a seed, and optionally how many faults."""


def _mixed(rng: random.Random, faults: int, workers: int, mix: Mapping[Deed, float]) -> tuple[Action, ...]:
    """Who leaves comes back next, and the topics never grow beyond twice their partitions."""
    actions: list[Action] = []
    partitions = PARTITIONS
    while len(actions) < faults:
        if actions and actions[-1].deed is Deed.LEAVE:
            actions.append(Action(Deed.JOIN, actions[-1].target, Moment.PREVIOUS, rng.uniform(0.0, 3.0)))
            continue
        action = _any(rng, rng.choices([*mix], [*mix.values()])[0], rng.randrange(workers))
        if action.deed is Deed.GROW:
            partitions += 1
            action = replace(action, amount=partitions)
        if partitions <= 2 * PARTITIONS:
            actions.append(action)
    return tuple(actions)


def _any(rng: random.Random, deed: Deed, worker: int) -> Action:
    """Some action of this kind."""
    match deed:
        case Deed.KILL:
            return _kill(rng, worker)
        case Deed.PAUSE:
            return _pause(rng, worker)
        case Deed.CUT:
            return _cut(rng, worker)
        case Deed.BROKER_KILL | Deed.BROKER_STOP:
            return _restart(rng, deed, 1)
        case Deed.EXPERT:
            return Action(deed, worker, *_at_work(rng), rng.uniform(2.0, 5.0), how=rng.choice(MODES))
        case Deed.CLOCK:
            return Action(deed, worker, *_at_work(rng), rng.uniform(2.0, 5.0), rng.choice(CLOCKS))
        case _:
            return Action(deed, worker, *_at_work(rng), rng.uniform(4.0, 8.0))


def _kill(rng: random.Random, worker: int) -> Action:
    moment = rng.choices([Moment.BURST, Moment.READY, Moment.SPAWNED, Moment.PREVIOUS], [9, 3, 5, 2])[0]
    longest = {Moment.BURST: BURST_SECONDS, Moment.READY: 2.0, Moment.SPAWNED: 2 * SESSION, Moment.PREVIOUS: 0.3}
    return Action(Deed.KILL, worker, moment, rng.uniform(0.0, longest[moment]))


def _pause(rng: random.Random, worker: int) -> Action:
    return Action(Deed.PAUSE, worker, *_at_work(rng), SESSION * rng.uniform(1.3, 2.2))


def _cut(rng: random.Random, worker: int) -> Action:
    lasting, how = SESSION * rng.uniform(0.5, 2.2), rng.choice(WEATHERS)
    return Action(Deed.CUT, worker, *_at_work(rng), lasting, how=how)


def _restart(rng: random.Random, deed: Deed, nodes: int) -> Action:
    return Action(deed, rng.randrange(nodes), *_at_work(rng), rng.uniform(0.0, 3.0))


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
