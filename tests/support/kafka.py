"""Reading and writing topics in tests, and waiting for what they will hold. Nothing sleeps and hopes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

T = TypeVar("T")
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Record:
    """One record to produce; `partition` None lets the key decide, `timestamp_ms` None takes the clock."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = field(default=())
    partition: int | None = None
    timestamp_ms: int | None = None


async def produce(bootstrap: str, topic: str, records: Iterable[Record]) -> list[Any]:
    """Produces the records in order, acknowledged by all replicas; returns aiokafka's RecordMetadata of each."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=4_000_000) as producer:
        sent = [await producer.send(topic, **_arguments(record)) for record in records]
        return list(await asyncio.gather(*sent))


async def consume_until(
    bootstrap: str, topic: str, predicate: Callable[[list[Any]], bool], deadline: float = 30.0
) -> list[Any]:
    """Reads a topic from its start until `predicate(records so far)` holds, and returns aiokafka's records.

    Fails after `deadline` seconds, and says how many records had come. Needs no group and commits nothing.
    """
    records: list[Any] = []
    consumer = _reader(bootstrap, topic)
    await consumer.start()
    try:
        end = time.monotonic() + deadline
        while not predicate(records):
            assert time.monotonic() < end, f"{topic}: {len(records)} records in {deadline:g} s, not what was awaited"
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
    finally:
        await consumer.stop()
    return records


async def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """Returns the end offset of every partition of a topic."""
    consumer = _reader(bootstrap, topic)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        return {partition.partition: offset for partition, offset in ends.items()}
    finally:
        await consumer.stop()


def eventually(predicate: Callable[[], T], deadline: float = 30.0, awaited: str = "the condition") -> T:
    """Returns the predicate's first true value; fails after `deadline` seconds and names what was awaited."""
    end = time.monotonic() + deadline
    while not (value := predicate()):
        assert time.monotonic() < end, f"{awaited} did not come in {deadline:g} s (last: {value!r})"
        time.sleep(POLL_SECONDS)
    return value


async def eventually_async(predicate: Callable[[], Any], deadline: float = 30.0, awaited: str = "the condition") -> Any:
    """As `eventually`, while the event loop goes on; the predicate may be a coroutine function."""
    end = time.monotonic() + deadline
    while not (value := await _value(predicate())):
        assert time.monotonic() < end, f"{awaited} did not come in {deadline:g} s (last: {value!r})"
        await asyncio.sleep(POLL_SECONDS)
    return value


async def _value(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


def _arguments(record: Record) -> dict[str, Any]:
    return {
        "value": record.value,
        "key": record.key,
        "headers": list(record.headers),
        "partition": record.partition,
        "timestamp_ms": record.timestamp_ms,
    }


def _reader(bootstrap: str, topic: str) -> Any:
    """A consumer of every partition from its start: without a group aiokafka assigns them all."""
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4_000_000,
    )
