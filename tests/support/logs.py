"""Everything that a worker reads and writes, as it stands in the topics: what the oracle judges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.reading import take_up
from stream.settings import Settings
from stream.topics import TopicNames


@dataclass(repr=False)
class Logs:
    """aiokafka's records of each topic, in offset order within a partition. Not shown by a failing test: they may hold
    people's texts."""

    turns: list[Any] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    verdicts: list[Any] = field(default_factory=list)
    dead_letters: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    moments: list[Any] = field(default_factory=list)
    experts: list[Any] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    changelog: list[Any] = field(default_factory=list)


class Follower:
    """Reads the topics from their beginning, and on when asked again."""

    def __init__(self, consumer: AIOKafkaConsumer, logs: dict[str, list[Any]]) -> None:
        self._consumer = consumer
        self._logs = logs

    async def catch_up(self, stall: float = 30.0) -> None:
        """Read to where the topics end now. Raises TimeoutError when nothing comes for `stall` seconds."""
        await self._consumer._client.force_metadata_update()  # partitions may have been added
        await take_up(self._consumer, _partitions(self._consumer, self._logs))
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        while behind := [tp for tp, end in ends.items() if await self._consumer.position(tp) < end]:
            async with asyncio.timeout(stall):
                found: dict[TopicPartition, list[Any]] = {}
                while not found and await self._any_before(ends, behind):
                    found = await self._consumer.getmany(timeout_ms=200)
            for tp, records in found.items():
                self._logs[tp.topic] += records

    async def _any_before(self, ends: dict[TopicPartition, int], behind: list[TopicPartition]) -> bool:
        """A compacted log may have no record just before its end, so the position tells."""
        return any([await self._consumer.position(tp) < ends[tp] for tp in behind])


@asynccontextmanager
async def following(bootstrap: str, topics: dict[str, list[Any]]) -> AsyncIterator[Follower]:
    """A follower that adds each topic's records to its list."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4_000_000,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        for topic in topics:
            await consumer._client._wait_on_metadata(topic)
        tps = _partitions(consumer, topics)
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        yield Follower(consumer, topics)
    finally:
        await consumer.stop()


def _partitions(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    return [TopicPartition(topic, n) for topic in topics for n in sorted(consumer.partitions_for_topic(topic) or ())]


@asynccontextmanager
async def following_all(settings: Settings) -> AsyncIterator[tuple[Logs, Follower]]:
    """The logs of every topic of the contract, and the follower that fills them."""
    logs, names = Logs(), TopicNames.of(settings)
    topics = {getattr(names, log.name): getattr(logs, log.name) for log in fields(Logs)}
    async with following(settings.broker, topics) as follower:
        yield logs, follower


async def read_all(bootstrap: str, topic: str) -> list[Any]:
    """Every record of a topic up to where it ends now."""
    records: list[Any] = []
    async with following(bootstrap, {topic: records}) as follower:
        await follower.catch_up()
    return records


async def read_logs(settings: Settings) -> Logs:
    """Every topic of the contract up to where it ends now: a picture of a moment only when nobody writes."""
    async with following_all(settings) as (logs, follower):
        await follower.catch_up()
        return logs
