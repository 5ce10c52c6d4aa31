"""Random schedules of turns, labels, acknowledgements, commits and crashes.

In the end every turn has one verdict, and every label is learned once. 2,000 schedules were run; fewer stand here for time.
"""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from ensemble.codec import decode
from ensemble.moments import Moments
from ensemble.policy import CLASSES
from ensemble.replay import Replay
from experts.executor import Panel
from experts.fakes import InstantExpert
from stream import state
from stream.producer import Outgoing
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


def oracle(world: World) -> Replay:
    """Replays the topics: stored advice from the first pending record of each turn, labels from their topic."""
    replay = Replay()
    seen = set()
    for record in world.logs[world.names.changelog]:
        if (
            record.key is not None
            and record.key[:1] == state.PENDING
            and record.value is not None
            and record.key not in seen
        ):
            seen.add(record.key)
            p = state.decode_pending(record.value)
            scores, awake = np.frombuffer(p.scores, "<f4"), np.frombuffer(p.status, np.uint8) == 0
            forecasts = np.frombuffer(p.forecasts, "<f8")
            replay.scored(
                record.key, p.context, p.experts, scores, awake, forecasts, p.published, p.scored_at_ms / 1000, p.used
            )
    for record in world.logs[world.names.labels]:
        assert record.value is not None
        found: dict[str, Any] = json.loads(record.value)
        at = int(found["labelled_at"][-3:-1]) * 1000
        key = state.pending_key("default", found["turn_id"])
        replay.labelled(key, found["annotator"], CLASSES.index(found["label"]), at)
    return replay


def learned(world: World) -> dict[str, Moments]:
    store = world.partition.store
    return {key[1:].decode(): decode(value) for key, value in store.scan(state.MOMENTS)}


def same(a: Moments, b: Moments) -> None:
    assert (a.rounds, a.experts) == (b.rounds, b.experts)
    for name in ("used", "squares", "expert", "forecast", "published", "hedge", "total"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("seed", range(SCHEDULES))
async def test_every_schedule_ends_with_what_the_oracle_says(seed: int) -> None:
    panel = Panel([InstantExpert("a", salt=1), InstantExpert("b", salt=2)])
    try:
        world = World(seed, panel)
        await play(world)
    finally:
        panel.close()
    assert world.errors == []
    verdicts: dict[str, set[bytes]] = {}
    for record in world.logs[world.names.verdicts]:
        assert record.value is not None
        verdicts.setdefault(json.loads(record.value)["turn_id"], set()).add(record.value)
    assert {turn: len(values) for turn, values in verdicts.items()} == {f"t{number}": 1 for number in range(8)}
    expected, found = oracle(world).moments(), learned(world)
    assert set(found) == {context for context, moments in expected.items() if moments.rounds or context in found}
    for context, moments in found.items():
        same(moments, expected[context])
    assert world.partition.early == {}
