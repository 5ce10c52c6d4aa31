"""Looks at the broker from time to time: ends of partitions, what the group has committed, and who owns what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from stream.console.live.lag import Look
from stream.groups import NO_COORDINATOR
from stream.settings import Settings
from stream.topics import TopicNames

SHOWN_OF_AN_ID: Final = 6
"""Last characters of a member's id that tell workers of one host apart."""


TOGETHER: Final = 8
"""Questions about the past that are under way at once: each waits behind a fetch that waits for records."""


class Poller:
    """Asks with clients that somebody else opened and closes."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        self._group = settings.app_id
        self._names = TopicNames.of(settings)
        self._consumer = consumer
        self._admin = admin

    async def look(self, partitions: Mapping[str, int]) -> Look:
        """`partitions`: how many each topic has. Raises KafkaError when the broker does not answer."""
        turns = [TopicPartition(self._names.turns, n) for n in range(partitions.get(self._names.turns, 0))]
        labels = [TopicPartition(self._names.labels, n) for n in range(partitions.get(self._names.labels, 0))]
        ends = await self._consumer.end_offsets([*turns, *labels])
        committed = await self._committed()
        unbegun = [tp for tp in (*turns, *labels) if tp not in committed]
        starts = await self._consumer.beginning_offsets(unbegun) if unbegun else {}
        state, members = await self._members()
        owners, workers = _owners(members, self._names.turns)
        return Look(
            time.time(),
            _of(turns, ends), _of(turns, starts), _of(turns, committed),
            _of(labels, ends), _of(labels, starts), _of(labels, committed),
            owners, workers, state,
        )  # fmt: skip

    async def _committed(self) -> dict[TopicPartition, int]:
        try:
            found = await self._admin.list_consumer_group_offsets(self._group)
        except NO_COORDINATOR:
            return {}
        return {tp: at.offset for tp, at in found.items() if at.offset >= 0}

    async def _members(self) -> tuple[str, list[Any]]:
        try:
            (response,) = await self._admin.describe_consumer_groups([self._group])
        except NO_COORDINATOR:
            return "", []
        group = response.groups[0]
        return str(group[2]), list(group[5])

    async def turns_at(self, times: Sequence[float], partitions: int) -> list[tuple[float, int]]:
        """How many turns had ever come at each of these times (seconds since 1970)."""
        tps = [TopicPartition(self._names.turns, number) for number in range(partitions)]
        ends = await self._consumer.end_offsets(tps)
        found = []
        for some in range(0, len(times), TOGETHER):
            moments = times[some : some + TOGETHER]
            asked = [self._consumer.offsets_for_times(dict.fromkeys(tps, int(at * 1000))) for at in moments]
            for at, later in zip(moments, await asyncio.gather(*asked), strict=True):
                found.append((at, sum(ends[tp] if place is None else place.offset for tp, place in later.items())))
        return found


def _of(tps: Iterable[TopicPartition], offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {tp.partition: offsets[tp] for tp in tps if tp in offsets}


def _owners(members: Iterable[Any], turns: str) -> tuple[dict[int, str], tuple[tuple[str, str], ...]]:
    """Who works on each partition of turns, and (name, host) of every worker, by name.

    A member is (id, [instance id,] client id, host, metadata, assignment). One that is joining has no assignment."""
    owners: dict[int, str] = {}
    workers = []
    for member in members:
        member_id, host, assignment = str(member[0]), str(member[-3]).lstrip("/"), member[-1]
        name = member_id[-SHOWN_OF_AN_ID:]
        workers.append((name, host))
        if assignment:
            found = ConsumerProtocolMemberAssignment.decode(assignment)
            owners |= {number: name for topic, numbers in found.assignment if topic == turns for number in numbers}
    return owners, tuple(sorted(workers))
