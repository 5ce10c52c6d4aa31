"""Random schedules of turns, labels, acknowledgements, commits and crashes.

In the end every turn has one verdict, and every label is learned once. 2,000 were run; some of them stand here.
"""

from __future__ import annotations

import json
import random

import pytest

from ensemble.policy import CLASSES
from experts.executor import Panel
from experts.fakes import InstantExpert
from stream.producer import Outgoing
from support.logs import Logs
from support.oracle import check_invariants
from support.world import World

SCHEDULES = 150
STEPS = 80


def turn(number: int) -> Outgoing:
    value = {
        "turn_id": f"t{number}",
        "conversation_id": "c",
        "role": ("user", "assistant")[number % 2],
        "text": f"text {number}",
        "sent_at": "2026-01-01T00:00:00Z",
    }
    return Outgoing(b"c", json.dumps(value).encode())


def label(number: int, annotator: str, name: str, second: int) -> Outgoing:
    value = {
        "turn_id": f"t{number}",
        "conversation_id": "c",
        "label": name,
        "annotator": annotator,
        "labelled_at": f"1970-01-01T00:00:{second:02d}Z",
    }
    return Outgoing(b"c", json.dumps(value).encode())


def traffic(chance: random.Random) -> list[tuple[str, Outgoing]]:
    """Turns, some twice, and labels: early, late, repeated and corrected."""
    turns = [("turns", turn(number)) for number in range(8)]
    turns += chance.sample(turns, 2)
    labels = [
        ("labels", label(chance.randrange(8), chance.choice("ab"), chance.choice(CLASSES), chance.randrange(60)))
        for _ in range(14)
    ]
    labels += chance.sample(labels, 3)
    events = turns + labels
    chance.shuffle(events)
    return events


async def play(world: World) -> None:
    chance = world.chance
    events = traffic(chance)
    for _ in range(STEPS):
        world.now += chance.choice((0, 1, 400, 3000))
        action = chance.random()
        if action < 0.30 and events:
            kind, record = events.pop()
            world.publish(getattr(world.names, kind), record)
        elif action < 0.45:
            await world.work(world.names.turns, chance.randint(1, 3))
        elif action < 0.60:
            await world.work(world.names.labels, chance.randint(1, 4))
        elif action < 0.85:
            waiting = [topic for topic, batches in world.waiting.items() if batches]
            if waiting:
                await world.deliver(chance.choice(waiting))
        elif action < 0.90:
            await world.retry_early()
        elif action < 0.97:
            world.commit()
        else:
            await world.crash()
    for kind, record in events:
        world.publish(getattr(world.names, kind), record)
    await world.run_dry()
    for _ in range(8):  # early labels whose pause has not ended yet
        world.now += 700_000
        await world.retry_early()
        await world.run_dry()
    await world.project()


def logs(world: World) -> Logs:
    return Logs(**{name: world.logs[getattr(world.names, name)] for name in Logs.__dataclass_fields__})


@pytest.mark.parametrize("seed", range(SCHEDULES))
async def test_every_schedule_ends_with_what_the_oracle_says(seed: int) -> None:
    panel = Panel([InstantExpert("a", salt=1), InstantExpert("b", salt=2)])
    try:
        world = World(seed, panel)
        await play(world)
    finally:
        panel.close()
    assert world.errors == []
    found = check_invariants(world.settings, logs(world), [f"t{number}" for number in range(8)])
    assert found.sound, str(found)
