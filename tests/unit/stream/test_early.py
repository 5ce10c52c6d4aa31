"""Labels that come before their turn are read as others are."""

import json

from ensemble.votes import Vote
from experts.executor import Panel
from experts.fakes import InstantExpert
from stream import state
from stream.producer import Outgoing
from support.world import World

TURN = {"turn_id": "t", "conversation_id": "c", "role": "user", "text": "x", "sent_at": "2026-01-01T00:00:00Z"}


def label(name: str, at: str) -> Outgoing:
    said = {"turn_id": "t", "conversation_id": "c", "label": name, "annotator": "a", "labelled_at": at}
    return Outgoing(b"c", json.dumps(said).encode())


async def test_an_early_label_from_the_future_does_not_win_over_an_honest_correction() -> None:
    world = World(1, Panel((InstantExpert(),)))
    world.now = 1_700_000_000_000
    world.publish(world.names.labels, label("safe", "2099-01-01T00:00:00Z"))
    await world.run_dry()
    world.now += 5_000
    world.publish(world.names.labels, label("unsafe", "2023-11-14T22:13:24Z"))
    world.publish(world.names.turns, Outgoing(b"c", json.dumps(TURN).encode()))
    await world.work(world.names.labels, 1)
    await world.run_dry()
    stored = world.partition.store.get(state.pending_key("default", "t"))
    assert stored is not None
    assert state.decode_pending(stored).votes == {"a": Vote(2, 1_700_000_004_000)}


async def test_a_worker_whose_clock_was_set_back_does_not_move_the_time_of_an_early_vote() -> None:
    world = World(1, Panel((InstantExpert(),)))
    world.now = 1_700_000_000_000
    world.publish(world.names.labels, label("safe", "2023-11-14T22:13:10Z"))
    await world.run_dry()
    world.now -= 2 * 86_400_000
    world.publish(world.names.turns, Outgoing(b"c", json.dumps(TURN).encode()))
    await world.run_dry()
    stored = world.partition.store.get(state.pending_key("default", "t"))
    assert stored is not None
    assert state.decode_pending(stored).votes == {"a": Vote(0, 1_699_999_990_000)}
