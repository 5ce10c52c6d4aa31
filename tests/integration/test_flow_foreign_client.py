"""Clients that are not ours, and that hash keys otherwise: their turns are scored, and their labels find them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from aiokafka.partitioner import murmur2

from support import foreign
from support.flow import Flow, flowing, label, total_votes, turn, unique

CONVERSATIONS, TURNS = 12, 60


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowing(broker, tmp_path_factory.mktemp("foreign"), store="memory") as flow:
        yield flow


@pytest.fixture
def names() -> list[tuple[str, str]]:
    """(turn id, conversation id) that no other test has."""
    base = unique("f")
    return [(f"{base}-{i}", f"{base}-c{i % CONVERSATIONS}") for i in range(TURNS)]


def has_all(names: list[tuple[str, str]], messages: list[foreign.Message]) -> bool:
    return {turn_id for turn_id, _ in names} <= {message["turn_id"] for message in messages}


def verdicts(flow: Flow, names: list[tuple[str, str]]) -> dict[str, foreign.Message]:
    """The one verdict of each of these turns, read by the foreign client."""
    wanted = {turn_id for turn_id, _ in names}
    topic = flow.names.verdicts
    messages = foreign.read(flow.settings.broker, topic, flow.settings.partitions, partial(has_all, names))
    ours = [message for message in messages if message["turn_id"] in wanted]
    assert len(ours) == len(names)
    return {message["turn_id"]: message for message in ours}


def learn_all(flow: Flow, names: list[tuple[str, str]]) -> None:
    """Waits until each of these turns has its one vote, and everything else is as the oracle demands."""
    wanted = {turn_id for turn_id, _ in names}

    def voted(logs: Any) -> bool:
        ours = [record for record in logs.changelog if record.key[:1] == b"p" and turn_id_of(record.key) in wanted]
        return total_votes(ours) == len(names)

    asyncio.run(flow.sound(wanted, also=voted))


def turn_id_of(pending_key: bytes) -> str:
    """The last part of the key, behind the default tenant's name and two lengths."""
    return pending_key[len(b"p..default..") :].decode()


def test_a_librdkafka_client_gets_a_verdict_for_each_turn_and_its_labels_with_a_source_are_learned(
    flow: Flow, names: list[tuple[str, str]]
) -> None:
    landed = foreign.publish(flow.settings.broker, flow.names.turns, [foreign.turn(*n, f"text {n[0]}") for n in names])
    found = verdicts(flow, names)
    for turn_id, conversation_id in names:
        verdict = found[turn_id]
        assert verdict["_partition"] == verdict["source"]["partition"] == landed[turn_id]
        assert verdict["_key"] == conversation_id.encode()
    labels = [foreign.label(*n, "unsafe", source=found[n[0]]["source"]) for n in names]
    foreign.publish(flow.settings.broker, flow.names.labels, labels)
    learn_all(flow, names)


async def test_labels_by_librdkafka_without_a_source_find_the_turns_that_aiokafka_published(
    flow: Flow, names: list[tuple[str, str]]
) -> None:
    sent = await flow.turns(*(turn(n[0], conversation_id=n[1]) for n in names))
    await flow.verdicts(*(turn_id for turn_id, _ in names))
    labels = [foreign.label(*n, "safe") for n in names]
    landed = await asyncio.to_thread(foreign.publish, flow.settings.broker, flow.names.labels, labels)
    elsewhere = [n for n, record in zip(names, sent, strict=True) if landed[n[0]] != record.partition]
    assert elsewhere, "the two clients hash these keys alike: nothing was shown"
    await asyncio.to_thread(learn_all, flow, names)


async def test_labels_by_aiokafka_without_a_source_find_the_turns_that_librdkafka_published(
    flow: Flow, names: list[tuple[str, str]]
) -> None:
    messages = [foreign.turn(*n, "text") for n in names]
    landed = await asyncio.to_thread(foreign.publish, flow.settings.broker, flow.names.turns, messages)
    await flow.verdicts(*(turn_id for turn_id, _ in names))
    sent = await flow.labels(*(label(n[0], "needs_caution", conversation_id=n[1]) for n in names))
    assert any(landed[n[0]] != record.partition for n, record in zip(names, sent, strict=True))
    await asyncio.to_thread(learn_all, flow, names)


async def test_a_label_that_names_a_wrong_partition_is_still_learned(flow: Flow, names: list[tuple[str, str]]) -> None:
    (name, conversation), count = names[0], flow.settings.partitions
    await flow.turns(turn(name, conversation_id=conversation))
    home = (murmur2(conversation.encode()) & 0x7FFFFFFF) % count
    wrong = {"topic": flow.names.turns, "partition": (home + 1) % count, "offset": 0}
    said = foreign.label(name, conversation, "unsafe", source=wrong)
    await asyncio.to_thread(foreign.publish, flow.settings.broker, flow.names.labels, [said])
    await flow.pending(name, lambda pending: set(pending.votes) == {"ann"})


async def test_every_label_of_these_clients_was_counted_once(flow: Flow) -> None:
    """Forwarded copies stand in the topic beside their originals, and changed nothing."""
    logs, _ = await flow.sound()
    assert len(logs.labels) > total_votes(logs.changelog) > 0
