"""What the owner of all partitions would have published: the parts of every tenant, and the prior of each context."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.tenants.made import EXPERTS, SMALL, labels_of, parts
from stream import projection, topics_admin
from stream.producer import Outgoing, Producer
from stream.settings import Settings
from stream.topics import TopicNames

PRIOR = dict.fromkeys(EXPERTS, 1.0 / len(EXPERTS))


class Filled:
    """Counts of what was published."""

    def __init__(self) -> None:
        self.contexts: set[str] = set()
        self.sizes: list[int] = []
        self.small: list[int] = []


async def fill(settings: Settings, tenants: int) -> Filled:
    """In batches as the projection's. Each record reflects a changelog offset of its own."""
    await topics_admin.create(settings)
    producer, topic, filled = Producer(settings), TopicNames.of(settings).moments, Filled()
    await producer.start([topic])
    waiting: dict[int, list[Outgoing]] = defaultdict(list)
    for offset, part in enumerate(parts(tenants, settings.partitions)):
        value = projection.encode_part(offset, part.moments)
        waiting[part.partition].append(Outgoing(projection.part_key(part.context), value))
        if part.context not in filled.contexts:
            filled.contexts.add(part.context)
            waiting[0].append(projection.prior_record(part.context, PRIOR))
        filled.sizes.append(len(value))
        if labels_of(int(part.context.partition("/")[0].rpartition("-")[2])) <= SMALL:
            filled.small.append(len(value))
        for number in [number for number, records in waiting.items() if len(records) >= projection.TOGETHER]:
            await _send(producer, topic, number, waiting.pop(number))
    for number, records in waiting.items():
        await _send(producer, topic, number, records)
    await producer.stop()
    return filled


async def _send(producer: Producer, topic: str, partition: int, records: Sequence[Outgoing]) -> None:
    await asyncio.wait_for(producer.append(topic, partition, records, gzip=True), 60.0)
