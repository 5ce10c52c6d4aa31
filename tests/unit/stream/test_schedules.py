"""Random schedules of turns, labels, acknowledgements, commits and crashes.

In the end every turn has one verdict, every label is learned once, and every turn's experts were given the history that
they would have been given had nothing crashed. 2,000 were run; some of them stand here.
"""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from ensemble.policy import CLASSES
from experts.executor import Panel
from experts.fakes import InstantExpert, RecallingExpert
from stream import state
from stream.asking import is_asked
from stream.producer import Outgoing
from stream.settings import Settings
from support.logs import Logs
from support.oracle import check_invariants
from support.recall import expected_scores
from support.world import World

SCHEDULES = 150
STEPS = 80
TURNS = 8
REMEMBERED: tuple[dict[str, Any], ...] = (
    {},
    {"conversation_tokens": 64},
    {"conversation_idle": 6},
    {"conversations": "off"},
)
"""All of a conversation, its last turns, its turns of the last seconds, nothing."""
SAMPLED: tuple[dict[str, Any], ...] = (
    {},
    {"policy": "sampled", "policies": {"sampled": {"ask": 0.3, "ask_unsure": 0.9, "unasked": 0.5}}},
)
"""Every turn is asked for; some are, and labels come of the others as well."""


def settings_of(seed: int) -> Settings:
    number = seed // len(REMEMBERED)
    return Settings.load(**REMEMBERED[seed % len(REMEMBERED)], **SAMPLED[number % len(SAMPLED)])


def turn(number: int) -> Outgoing:
    """Most are of one conversation, every fourth is of another; one brings its own history."""
    conversation = "d" if number % 4 == 3 else "c"
    value = {
        "turn_id": f"t{number}",
        "conversation_id": conversation,
        "role": ("user", "assistant")[number % 2],
        "text": f"text {number} " + "and on " * number,
        "sent_at": "2026-01-01T00:00:00Z",
        "history": [{"role": "user", "text": "sent"}] if number == 5 else [],
    }
    return Outgoing(conversation.encode(), json.dumps(value).encode())


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
    turns = [("turns", turn(number)) for number in range(TURNS)]
    turns += chance.sample(turns, 2)
    labels = [
        ("labels", label(chance.randrange(TURNS), chance.choice("ab"), chance.choice(CLASSES), chance.randrange(60)))
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
            await world.deliver_some(chance)
        elif action < 0.90:
            await world.retry_early()
        elif action < 0.97:
            world.commit()
        else:
            await world.crash()
    for kind, record in events:
        world.publish(getattr(world.names, kind), record)
    await world.come_to_rest()


def logs(world: World) -> Logs:
    return Logs(**{name: world.logs[getattr(world.names, name)] for name in Logs.__dataclass_fields__})


def given_scores(world: World) -> dict[str, float]:
    """What `RecallingExpert`, the last of the panel, said of each turn by what was decided."""
    scores = {}
    for number in range(TURNS):
        value = world.partition.get(state.pending_key("default", f"t{number}"))
        assert value is not None
        scores[f"t{number}"] = float(np.frombuffer(state.decode_pending(value).scores, "<f4")[-1])
    return scores


def pendings(world: World) -> list[state.Pending]:
    values = [world.partition.get(state.pending_key("default", f"t{number}")) for number in range(TURNS)]
    return [state.decode_pending(value) for value in values if value is not None]


def labelled_by_class(world: World) -> tuple[int, int]:
    """Labelled turns that were asked for, and that were not."""
    labelled = [pending for pending in pendings(world) if pending.votes]
    return sum(pending.asked for pending in labelled), sum(not pending.asked for pending in labelled)


def rounds_by_class(world: World) -> tuple[int, int]:
    """The rounds that the moments of both roles count in either class."""
    rounds = [
        sum(world.partition.moments_of(f"default/{role}{suffix}").rounds for role in ("user", "assistant"))
        for suffix in ("", "~unasked")
    ]
    return rounds[0], rounds[1]


def test_labels_of_either_class_are_part_of_the_schedules() -> None:
    """Turns stand where a schedule put them, so which of them are asked for differs from seed to seed."""
    drawn = [is_asked("default", f"t{n}", offset, 0.3) for n in range(TURNS) for offset in range(TURNS)]
    assert 0.2 < sum(drawn) / len(drawn) < 0.4
    assert settings_of(4).defined_policies()[settings_of(4).policy].samples


@pytest.mark.parametrize("seed", range(SCHEDULES))
async def test_every_schedule_ends_with_what_the_oracle_says_and_the_histories_of_a_run_without_crashes(
    seed: int,
) -> None:
    settings = settings_of(seed)
    panel = Panel([InstantExpert("a", salt=1), InstantExpert("b", salt=2), RecallingExpert()])
    try:
        world = World(seed, panel, settings)
        await play(world)
    finally:
        panel.close()
    assert world.errors == []
    found = check_invariants(world.settings, logs(world), [f"t{number}" for number in range(TURNS)])
    assert found.sound, str(found)
    assert rounds_by_class(world) == labelled_by_class(world)
    assert given_scores(world) == expected_scores(world.logs[world.names.turns], settings)
