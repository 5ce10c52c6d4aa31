"""Chooses where a group goes on reading turns and labels, when its committed offsets are gone or are to be moved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stream import connection, groups
from stream.errors import TopicsError
from stream.settings import Settings
from stream.topics import TopicNames
from stream.topics_admin import connected, topics_of

Place = Literal["earliest", "latest"] | datetime
"""The first record there is, behind the last one, or the first record since an instant (with an offset to UTC)."""


async def seek(settings: Settings, to: Place, every: bool = False) -> list[str]:
    """Commits offsets of turns and labels for the group `app_id`, and returns a line for each partition that changed.

    Only where an offset is missing or lies behind the end of its partition, unless `every`. Raises TopicsError when a
    topic is missing, when the group has members (a worker runs) and when no broker answers.
    """
    async with connected(settings) as admin:
        await refuse_members(admin, settings)
        tps = await _inputs(admin, settings)
        committed = await groups.committed(admin, settings.app_id)
        consumer = connection.consumer(settings, group_id=settings.app_id)
        try:
            await consumer.start()
            ends = await consumer.end_offsets(tps)
            chosen = [tp for tp in tps if every or not 0 <= committed.get(tp, -1) <= ends[tp]]
            targets = await _targets(consumer, chosen, to, ends)
            if targets:
                consumer.assign(chosen)
                await consumer.commit(targets)  # without a member id: the broker refuses it if a worker has joined
        finally:
            await consumer.stop()
    return [f"{tp.topic}[{tp.partition}]: {_shown(committed.get(tp, -1))} -> {targets[tp]}" for tp in sorted(targets)]


async def refuse_members(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    """Raises TopicsError while a worker is in the group."""
    group, timeout = settings.app_id, f"{settings.session_timeout:g} s"
    members, state = await groups.workers(admin, group)
    if members:
        raise TopicsError(
            f"group {group} has {members} members ({state}): stop its workers, then seek again"
            f" (one that ended by itself counts for {timeout} more)"
        )


async def _inputs(admin: AIOKafkaAdminClient, settings: Settings) -> list[TopicPartition]:
    names = TopicNames.of(settings)
    found = await topics_of(admin, [names.turns, names.labels])
    for name in (names.turns, names.labels):
        if name not in found:
            raise TopicsError(f"topic {name} does not exist: run `aegis topics create`")
    return [TopicPartition(name, number) for name in sorted(found) for number in range(len(found[name]))]


async def _targets(
    consumer: AIOKafkaConsumer, tps: list[TopicPartition], to: Place, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    if not tps or to == "latest":
        return {tp: ends[tp] for tp in tps}
    if to == "earliest":
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(tps)
        return starts
    assert isinstance(to, datetime)
    since = max(0, int(to.timestamp() * 1000))
    found: dict[TopicPartition, Any] = await consumer.offsets_for_times(dict.fromkeys(tps, since))
    return {tp: ends[tp] if at is None else at.offset for tp, at in found.items()}


def _shown(offset: int) -> str:
    return "none" if offset < 0 else str(offset)
