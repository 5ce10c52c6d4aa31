"""Random schedules in which experts come, go and lose their vote between batches, and the worker crashes.

In the end every turn has one verdict, and the moments are those of its stored advice: who had a vote when."""

from __future__ import annotations

import json
import random

import pytest

from ensemble import PERMISSIVE, report, total
from ensemble import decode as decode_moments
from ensemble.policy import CLASSES
from experts.executor import Panel
from experts.fakes import InstantExpert
from stream import state
from stream.producer import Outgoing
from stream.roster import Line
from support.logs import Logs
from support.oracle import check_invariants
from support.world import World

SCHEDULES, STEPS, TURNS = 40, 120, 30
EXPERTS = tuple(InstantExpert(f"expert{salt}", salt=salt) for salt in range(4))


def turn(number: int) -> Outgoing:
    value = {
        "turn_id": f"t{number}",
        "conversation_id": "c",
        "role": "user",
        "text": f"text {number}",
        "sent_at": "2026-01-01T00:00:00Z",
    }
    return Outgoing(b"c", json.dumps(value).encode())


def label(chance: random.Random) -> Outgoing:
    value = {
        "turn_id": f"t{chance.randrange(TURNS)}",
        "conversation_id": "c",
        "label": chance.choice(CLASSES),
        "annotator": chance.choice("ab"),
        "labelled_at": f"1970-01-01T00:00:{chance.randrange(60):02d}Z",
    }
    return Outgoing(b"c", json.dumps(value).encode())


def swap(world: World) -> None:
    """Another panel, in another order, of which at least one expert votes."""
    roster, chance = world.scorer._roster, world.chance
    asked = chance.sample(EXPERTS, chance.randint(1, len(EXPERTS)))
    beside = chance.sample(asked, chance.randint(0, len(asked) - 1))
    roster.replace(Line(roster.latest.panel.reshaped(asked), frozenset(expert.id for expert in beside)))


async def play(world: World) -> None:
    chance = world.chance
    events = [(world.names.turns, turn(number)) for number in range(TURNS)]
    events += [(world.names.labels, label(chance)) for _ in range(2 * TURNS)]
    chance.shuffle(events)
    for _ in range(STEPS):
        world.now += chance.choice((0, 1, 400, 3000))
        match chance.choices(
            ("publish", "swap", "turns", "labels", "deliver", "commit", "crash"), (9, 2, 4, 4, 6, 2, 1)
        ):
            case ["publish"]:
                for topic, record in [events.pop() for _ in range(min(2, len(events)))]:
                    world.publish(topic, record)
            case ["swap"]:
                swap(world)
            case ["turns"]:
                await world.work(world.names.turns, chance.randint(1, 5))
            case ["labels"]:
                await world.work(world.names.labels, chance.randint(1, 5))
            case ["deliver"]:
                await world.deliver_some(chance)
            case ["commit"]:
                world.commit()
            case ["crash"]:
                world.scorer.close()
                world.panel = Panel(EXPERTS)
                await world.crash()
    for topic, record in events:
        world.publish(topic, record)
    await world.run_dry()
    for _ in range(8):  # early labels whose pause has not ended yet
        world.now += 700_000
        await world.retry_early()
        await world.run_dry()
    await world.project()


def statuses(world: World) -> set[int]:
    found = set[int]()
    for number in range(TURNS):
        value = world.partition.get(state.pending_key("default", f"t{number}"))
        assert value is not None
        found |= set(state.decode_pending(value).status)
    return found


@pytest.mark.parametrize("seed", range(SCHEDULES))
async def test_nothing_is_lost_or_learned_twice_whoever_votes_when(seed: int) -> None:
    world = World(seed, Panel(EXPERTS))
    await play(world)
    logs = Logs(**{name: world.logs[getattr(world.names, name)] for name in Logs.__dataclass_fields__})
    found = check_invariants(world.settings, logs, [f"t{number}" for number in range(TURNS)])
    assert found.sound, found
    assert found.turns == TURNS
    assert statuses(world) <= {0, 4}
    stored = world.partition.get(state.moments_key("default/user"))
    assert stored is not None
    told = report(total([decode_moments(stored)]), PERMISSIVE)
    assert not told.alarm
    world.scorer.close()
