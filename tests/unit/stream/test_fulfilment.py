"""What random schedules seldom meet: a request that falls into the middle of something."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from experts.executor import Panel
from experts.fakes import InstantExpert
from stream import projection, state
from stream.producer import Outgoing
from stream.records import Erasure, Revocation
from stream.settings import Settings
from support.logs import Logs
from support.oracle import check_invariants
from support.world import World, settle

LATE = datetime.fromtimestamp(10_000_000, UTC)


def turn(number: int, text: str) -> Outgoing:
    sent = {"turn_id": f"t{number}", "conversation_id": "c", "role": "user", "text": text}
    return Outgoing(b"c", json.dumps({**sent, "sent_at": "2026-01-01T00:00:00Z"}).encode())


def label(number: int, annotator: str) -> Outgoing:
    said = {"turn_id": f"t{number}", "conversation_id": "c", "label": "unsafe", "annotator": annotator}
    return Outgoing(b"c", json.dumps({**said, "labelled_at": "1970-01-01T00:00:01Z"}).encode())


def limited(**fields: Any) -> Settings:
    return Settings.load(policy="limited", policies={"limited": fields})


@pytest.fixture
def panel() -> Panel:
    return Panel([InstantExpert("a", salt=1)])


def remembered(world: World) -> bytes:
    return world.partition.get(state.conversation_key("default", "c")) or b""


async def test_a_text_that_a_batch_has_read_already_does_not_come_back_behind_its_erasure(panel: Panel) -> None:
    world = World(1, panel)
    world.publish(world.names.turns, turn(1, "the secret"))
    await world.run_dry()
    assert b"the secret" in remembered(world)
    world.publish(world.names.turns, turn(2, "what follows"))
    await world.scorer.deciding.acquire()  # a batch is between its look at the conversation and its writes
    before = remembered(world)
    world.ask(Erasure("default", LATE, turn_id="t1"))
    world.hear()
    await world.look()
    assert remembered(world) == before, "the erasure waits for the batch"
    world.partition.write({state.conversation_key("default", "c"): before})
    world.scorer.deciding.release()
    await settle()
    await world.run_dry()
    assert b"the secret" not in remembered(world)
    assert world.partition.get(state.pending_key("default", "t1")) is None


async def test_a_turn_that_would_be_read_again_keeps_its_decision_until_it_cannot_be(panel: Panel) -> None:
    world = World(1, panel)
    world.publish(world.names.turns, turn(1, "the secret"))
    await world.work(world.names.turns, 1)
    while world.waiting[world.names.changelog] or world.waiting[world.names.verdicts]:
        for topic in (world.names.changelog, world.names.verdicts):
            while world.waiting[topic]:
                await world.deliver(topic)
    world.ask(Erasure("default", LATE, turn_id="t1"))
    world.hear()
    await world.look()
    assert not world.fulfiller.is_aligned, "the offset of the turn is not committed"
    await world.crash()
    await world.run_dry()
    verdicts = [record.value for record in world.logs[world.names.verdicts]]
    assert len(verdicts) == 2
    assert len(set(verdicts)) == 1
    assert world.partition.get(state.pending_key("default", "t1")) is None
    assert b"the secret" not in remembered(world)


async def test_limits_that_are_taken_back_before_all_was_counted_by_them_leave_nothing_behind(panel: Panel) -> None:
    world = World(1, panel, limited())
    for number in range(3):
        world.publish(world.names.turns, turn(number, f"text {number}"))
    await world.run_dry()
    world.settings = limited(quorum=2)
    await world.crash()
    for number in range(3):  # counted by the quorum, which its owner did not live to say
        world.publish(world.names.labels, label(number, "ann"))
    await world.work(world.names.labels, 3)
    while world.waiting[world.names.changelog]:
        await world.deliver(world.names.changelog)
    world.commit()
    world.panel = Panel([InstantExpert("a", salt=1)])
    world.settings = limited()
    await world.crash()
    await world.run_dry()
    await world.project()
    logs = Logs(**{name: world.logs[getattr(world.names, name)] for name in Logs.__dataclass_fields__})
    found = check_invariants(world.settings, logs, [f"t{number}" for number in range(3)])
    assert found.sound, str(found)
    assert world.partition.moments_of("default/user").rounds == 3


async def test_a_revocation_is_answered_behind_its_moments_also_by_who_finds_it_carried_out(panel: Panel) -> None:
    """Who hears all answers takes a copy of the total."""
    world = World(1, panel)
    moments, requests = world.names.moments, world.names.requests

    async def recount() -> None:
        await world.look()
        for _ in range(4):
            while world.waiting[world.names.changelog]:
                await world.deliver(world.names.changelog)
            await settle()

    world.publish(world.names.turns, turn(1, "text"))
    world.publish(world.names.labels, label(1, "mallory"))
    await world.run_dry()
    await world.project()
    world.ask(Revocation("mallory", None, datetime.fromtimestamp(0, UTC), LATE, LATE))
    world.hear()
    await recount()
    assert world.partition.moments_of("default/user").rounds == 0
    assert (len(world.waiting[moments]), len(world.waiting[requests])) == (1, 0)
    world.waiting[moments].clear()  # its owner dies before they are sent
    await world.crash()
    await recount()
    assert (len(world.waiting[moments]), len(world.waiting[requests])) == (1, 0)
    await world.deliver(moments)
    await settle()
    assert len(world.waiting[requests]) == 1
    assert projection.decode_part(world.logs[moments][-1].value or b"")[1].rounds == 0


async def test_without_requests_and_limits_nothing_is_written(panel: Panel) -> None:
    world = World(1, panel)
    await world.look()
    await asyncio.sleep(0)
    assert world.fulfiller.is_aligned
    assert not world.waiting[world.names.changelog]
    assert world.partition.get(state.RECKONING) is None
