"""A batch of the score agent can hold several fetches of one partition."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from experts.base import Passage
from experts.executor import Panel
from experts.fakes import InstantExpert, RecallingExpert, recalled_score
from stream import state
from stream.pipeline import Slice
from stream.producer import Outgoing
from support.world import World, settle

TURN = {
    "turn_id": "t",
    "conversation_id": "c",
    "role": "user",
    "text": "said once, sent twice",
    "sent_at": "2026-01-01T00:00:00Z",
}


async def score_together(world: World) -> None:
    """Every turn published so far, each as a fetch of its own, in one batch."""
    intake, part = world.intakes[world.names.turns], world.partition
    fetches: list[list[Any]] = [[read] for read in world.logs[world.names.turns]]
    slices = [Slice(part, part.generation, intake, fetch) for fetch in fetches]
    intake.taken(len(fetches) - 1)
    end = await world.scorer.begin(slices)
    world.tasks.append((asyncio.ensure_future(end()), slices))
    await settle()
    await world.run_dry()


async def test_a_turn_sent_twice_in_two_fetches_that_are_scored_together_is_decided_once_and_published_twice() -> None:
    world = World(1, Panel((InstantExpert(),)))
    record = Outgoing(b"c", json.dumps(TURN).encode())
    for _ in range(2):
        world.publish(world.names.turns, record)
    await score_together(world)
    first, second = world.logs[world.names.verdicts]
    assert first.value == second.value
    assert sum(entry.key[:1] == b"p" for entry in world.logs[world.names.changelog] if entry.key) == 1


async def test_a_conversation_in_several_fetches_that_are_scored_together_is_told_in_order_each_turn_once() -> None:
    world = World(1, Panel((RecallingExpert(),)))
    for number in (0, 1, 1, 2):
        value = {**TURN, "turn_id": f"t{number}", "text": f"text {number}"}
        world.publish(world.names.turns, Outgoing(b"c", json.dumps(value).encode()))
    await score_together(world)
    said = [json.loads(record.value or b"")["experts"][0]["score"] for record in world.logs[world.names.verdicts]]
    before = [("user", f"text {number}") for number in range(3)]
    expected = [recalled_score(Passage("user", f"text {number}", tuple(before[:number]))) for number in (0, 1, 1, 2)]
    assert said == pytest.approx(expected, rel=1e-6)


async def test_a_batch_is_full_by_its_new_turns_whatever_stands_between_them_and_the_rest_comes_again() -> None:
    world = World(1, Panel((InstantExpert(),)))
    most = world.scorer.size()
    for number in range(most + 3):
        for value in (b"{", json.dumps({**TURN, "turn_id": f"t{number}"}).encode(), b"not a turn", b""):
            world.publish(world.names.turns, Outgoing(b"c", value))
    records: list[Any] = list(world.logs[world.names.turns])
    intake, part = world.intakes[world.names.turns], world.partition
    first, second = (Slice(part, part.generation, intake, records[at]) for at in (slice(0, 20), slice(20, None)))
    end = await world.scorer.begin([first, second])
    intake.taken(second.records[-1].offset)
    world.tasks.append((asyncio.ensure_future(end()), [first, second]))
    assert [record.offset for record in (*first.records, *second.records)] == list(range(4 * most - 2))
    await world.run_dry()
    assert len(world.logs[world.names.verdicts]) == most + 3
    assert len(world.logs[world.names.dead_letters]) == 3 * (most + 3)


async def test_each_write_of_decisions_holds_the_conversation_as_it_stands_after_them() -> None:
    world = World(1, Panel((InstantExpert(),)))
    for number in range(3):
        value = {**TURN, "turn_id": f"t{number}", "text": f"text {number}"}
        world.publish(world.names.turns, Outgoing(b"c", json.dumps(value).encode()))
    await world.work(world.names.turns, 2)
    ((items, _),) = world.waiting[world.names.changelog]
    assert [item.key for item in items] == [
        state.pending_key("default", "t0"),
        state.pending_key("default", "t1"),
        state.conversation_key("default", "c"),
    ]
    conversation = items[-1].value
    assert conversation is not None
    assert state.decode_conversation(conversation).offsets == (0, 1)
    await world.run_dry()
