"""Random schedules in which operators revoke votes, take that back, and want texts forgotten, while labels come early,
late, repeated and corrected, and the worker crashes, sometimes to trust annotators otherwise.

In the end the moments are those of the votes that count, and nothing that was to be forgotten is in the state. 1,400
were run; some of them stand here."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from ensemble.policy import CLASSES
from experts.executor import Panel
from experts.fakes import InstantExpert
from stream import state
from stream.partitions import apply_changelog
from stream.producer import Outgoing
from stream.records import Erasure, Revocation
from stream.settings import Settings
from stream.stores import MemoryStore
from support.logs import Logs
from support.oracle import check_invariants
from support.world import World

SCHEDULES, STEPS, TURNS = 120, 100, 8
ANNOTATORS = "abc"
TRUST: tuple[dict[str, Any], ...] = (
    {},
    {"quorum": 2},
    {"annotators": {"a": 2.0, "b": 0.5}, "others": 0.5},
    {"annotators": {"a": 1.0}, "others": 0.0, "quorum": 1},
    {"quorum": 2, "annotators": {"c": 0.0}},
)
WHOLE = datetime(1970, 1, 1, tzinfo=UTC)


def settings_of(trust: int) -> Settings:
    return Settings.load(policy="limited", policies={"limited": TRUST[trust % len(TRUST)]})


def turn(number: int) -> Outgoing:
    conversation = f"c{number % 3}"
    value = {
        "turn_id": f"t{number}",
        "conversation_id": conversation,
        "role": ("user", "assistant")[number % 2],
        "text": f"canary-{number}-{conversation}",
        "sent_at": "2026-01-01T00:00:00Z",
        "tenant": ("default", "acme")[number % 4 == 3],
    }
    return Outgoing(conversation.encode(), json.dumps(value).encode())


def label(chance: random.Random) -> Outgoing:
    number = chance.randrange(TURNS)
    value = {
        "turn_id": f"t{number}",
        "conversation_id": f"c{number % 3}",
        "label": chance.choice(CLASSES),
        "annotator": chance.choice(ANNOTATORS),
        "labelled_at": f"1970-01-01T00:00:{chance.randrange(60):02d}Z",
        "tenant": ("default", "acme")[number % 4 == 3],
        "remark": f"canary-{number}-c{number % 3}",
    }
    return Outgoing(b"c", json.dumps(value).encode())


def instant(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def revocation(chance: random.Random) -> Revocation:
    since = chance.randrange(50)
    until = since + chance.randrange(40)
    tenant = chance.choice((None, "default", "acme"))
    return Revocation(chance.choice(ANNOTATORS), tenant, instant(since), instant(until), WHOLE, chance.random() < 0.3)


async def play(world: World, erasures: list[Erasure]) -> None:
    chance = world.chance
    events = [("turns", turn(number)) for number in range(TURNS)]
    events += [("labels", label(chance)) for _ in range(4 * TURNS)]
    events += chance.sample(events, 4)
    chance.shuffle(events)
    asked = [revocation(chance) for _ in range(3)]
    asked += [one for one in asked if chance.random() < 0.3]
    requests: list[Revocation | Erasure] = [*asked, *erasures]
    chance.shuffle(requests)
    for _ in range(STEPS):
        world.now += chance.choice((0, 1, 400, 3000))
        match chance.choices(
            ("publish", "ask", "hear", "look", "turns", "labels", "deliver", "early", "commit", "crash"),
            (10, 1, 3, 4, 4, 5, 8, 1, 2, 1),
        ):
            case ["publish"]:
                for kind, record in [events.pop() for _ in range(min(2, len(events)))]:
                    world.publish(getattr(world.names, kind), record)
            case ["ask"]:
                if requests:
                    world.ask(requests.pop())
            case ["hear"]:
                world.hear()
            case ["look"]:
                await world.look()
            case ["turns"]:
                await world.work(world.names.turns, chance.randint(1, 3))
            case ["labels"]:
                await world.work(world.names.labels, chance.randint(1, 5))
            case ["deliver"]:
                await world.deliver_some(chance)
            case ["early"]:
                await world.retry_early()
            case ["commit"]:
                world.commit()
            case ["crash"]:
                if not erasures and chance.random() < 0.5:
                    world.settings = settings_of(chance.randrange(len(TRUST)))
                world.scorer.close()
                world.panel = panel()
                await world.crash()
    for request in requests:
        world.ask(request)
    for kind, record in events:
        world.publish(getattr(world.names, kind), record)
    await world.come_to_rest()


def panel() -> Panel:
    return Panel([InstantExpert("a", salt=1), InstantExpert("b", salt=2)])


@pytest.mark.parametrize("seed", range(SCHEDULES))
async def test_the_moments_are_those_of_the_votes_that_count_in_the_end(seed: int) -> None:
    world = World(seed, panel(), settings_of(seed))
    try:
        await play(world, [])
    finally:
        world.scorer.close()
    assert world.errors == []
    logs = Logs(**{name: world.logs[getattr(world.names, name)] for name in Logs.__dataclass_fields__})
    found = check_invariants(world.settings, logs, [f"t{number}" for number in range(TURNS)])
    assert found.sound, str(found)


@pytest.mark.parametrize("seed", range(SCHEDULES // 2))
async def test_what_is_to_be_forgotten_is_nowhere_in_the_state_in_the_end(seed: int) -> None:
    """The requests come late by their time, so that every text is from before them."""
    late = instant(10_000_000)
    erasures = [Erasure("default", late, conversation_id="c1"), Erasure("default", late, turn_id="t2")]
    world = World(seed, panel())
    try:
        await play(world, erasures)
    finally:
        world.scorer.close()
    assert world.errors == []
    store = MemoryStore()
    apply_changelog(store, world.logs[world.names.changelog])
    values = b"".join(value for _, value in store.scan(b""))
    assert b"canary-0-c0" in values, "other texts stay"
    for number in (1, 4):
        assert b"canary-%d-c1" % number not in values
    assert b"canary-2-c2" not in values
    conversations = [state.decode_conversation(value) for _, value in store.scan(state.CONVERSATION)]
    assert all(len(each.offsets) == len(each.said) for each in conversations)
    verdicts = {json.loads(record.value or b"")["turn_id"] for record in world.logs[world.names.verdicts]}
    assert verdicts == {f"t{number}" for number in range(TURNS)}
