"""Reading a topic without a group: recovery reads changelogs with it, the merged view reads moments."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream import connection
from stream.settings import Settings
from stream.topics import METADATA_MS

FETCH_BYTES = 4 << 20
"""Of one partition in one fetch: recovery is bound by round trips below this, and by memory above."""

START_SECONDS = 5.0
"""That a consumer which is not wanted any more is given to have started."""


@asynccontextmanager
async def reader(
    settings: Settings, reset: str = "earliest", fetch_bytes: int = FETCH_BYTES
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, and so without commits and rebalances. With `reset` "none" it raises
    OffsetOutOfRangeError where the log was cut, instead of going on behind the cut."""
    consumer = connection.consumer(
        settings,
        auto_offset_reset=reset,
        max_partition_fetch_bytes=fetch_bytes,
        fetch_max_wait_ms=200,
        metadata_max_age_ms=METADATA_MS,
    )
    # aiokafka forgets a connection that it was opening when it is cancelled: it may finish first.
    starting = asyncio.ensure_future(consumer.start())
    starting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # heard, if nobody waits any more
    try:
        await asyncio.shield(starting)
        yield consumer
    finally:
        try:
            await asyncio.wait([starting], timeout=START_SECONDS)
        finally:
            await consumer.stop()


async def take_up(consumer: AIOKafkaConsumer, tps: Iterable[TopicPartition]) -> None:
    """Read the partitions that were added, from their beginning, and the others on from where they are."""
    known = consumer.assignment()
    if fresh := set(tps) - known:
        positions = {tp: await consumer.position(tp) for tp in known}
        consumer.assign([*known, *fresh])
        for tp, position in positions.items():
            consumer.seek(tp, position)
        await consumer.seek_to_beginning(*fresh)


async def read_until(
    consumer: AIOKafkaConsumer, topic: str, spans: Mapping[int, tuple[int, int]], stall: float
) -> AsyncIterator[tuple[int, list[Any]]]:
    """Records of partitions of a topic: `spans` gives, for each partition, the first offset and the offset to stop
    before.

    Yields (partition, records) in offset order within a partition. Raises TimeoutError when nothing came for `stall`
    seconds."""
    tps = {TopicPartition(topic, p): end for p, (start, end) in spans.items() if start < end}
    if not tps:
        return
    consumer.assign(list(tps))
    for tp in tps:
        consumer.seek(tp, spans[tp.partition][0])
    while tps:
        async with asyncio.timeout(stall):
            found: dict[TopicPartition, list[Any]] = {}
            while not found and not await _reached(consumer, tps):
                found = await consumer.getmany(*tps, timeout_ms=500)
        for tp, records in found.items():
            end = tps[tp]
            if wanted := records if records[-1].offset < end else [r for r in records if r.offset < end]:
                yield tp.partition, wanted
        for tp in await _reached(consumer, tps):
            del tps[tp]


async def _reached(consumer: AIOKafkaConsumer, tps: Mapping[TopicPartition, int]) -> list[TopicPartition]:
    """Partitions read to their end: a compacted log may have no record just before it, so the position tells."""
    return [tp for tp, end in tps.items() if await consumer.position(tp) >= end]
