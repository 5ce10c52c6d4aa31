"""A batch of the score agent can hold several fetches of one partition."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from experts.executor import Panel
from experts.fakes import InstantExpert
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


async def test_a_turn_sent_twice_in_two_fetches_that_are_scored_together_is_decided_once_and_published_twice() -> None:
    world = World(1, Panel((InstantExpert(),)))
    record = Outgoing(b"c", json.dumps(TURN).encode())
    for _ in range(2):
        world.publish(world.names.turns, record)
    intake, part = world.intakes[world.names.turns], world.partition
    fetches: list[list[Any]] = [[read] for read in world.logs[world.names.turns]]
    slices = [Slice(part, part.generation, intake, fetch) for fetch in fetches]
    intake.taken(1)

    end = await world.scorer.begin(slices)
    world.tasks.append((asyncio.ensure_future(end()), slices))
    await settle()
    await world.run_dry()

    first, second = world.logs[world.names.verdicts]
    assert first.value == second.value
    assert sum(entry.key[:1] == b"p" for entry in world.logs[world.names.changelog] if entry.key) == 1
