"""Bare aiokafka in batches: what is fetched together is written together. Nothing is decoded or decided.

The changelog's batch is acknowledged before the verdicts are sent, both before the offset is committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.plan import BATCH_RECORDS, COMMIT_SECONDS, IN_FLIGHT, MAX_BATCH_BYTES, Plan

Fetched = dict[Any, list[Any]]
Row = tuple[bytes, bytes]


async def run(plan: Plan) -> None:
    """Work until the process is ended."""
    consumer = AIOKafkaConsumer(
        plan.turns,
        bootstrap_servers=plan.broker,
        group_id=plan.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with producer_of(plan) as producer, consumer:
        begun: asyncio.Queue[tuple[Fetched, list[Any]]] = asyncio.Queue(IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_begin(plan, consumer, producer, begun))
            tasks.create_task(_end(plan, consumer, producer, begun))


def producer_of(plan: Plan) -> Any:
    """A producer with the worker's settings."""
    return AIOKafkaProducer(
        bootstrap_servers=plan.broker,
        enable_idempotence=True,
        acks="all",
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=64 << 20,
    )


async def _begin(plan: Plan, consumer: Any, producer: Any, begun: asyncio.Queue[tuple[Fetched, list[Any]]]) -> None:
    value = plan.changelog_value
    while True:
        fetched = await consumer.getmany(timeout_ms=200, max_records=BATCH_RECORDS)
        sent = []
        for tp, records in fetched.items():
            rows = ((plan.changelog_key(tp.partition, record.offset), value) for record in records)
            sent += await _send(producer, plan.changelog, tp.partition, rows)
        if fetched:
            await begun.put((fetched, sent))


async def _end(plan: Plan, consumer: Any, producer: Any, begun: asyncio.Queue[tuple[Fetched, list[Any]]]) -> None:
    committed, done, value = time.monotonic(), dict[Any, int](), plan.verdict
    while True:
        if done and time.monotonic() - committed > COMMIT_SECONDS:
            await consumer.commit(done)
            committed, done = time.monotonic(), {}
        try:
            fetched, sent = await asyncio.wait_for(begun.get(), COMMIT_SECONDS)
        except TimeoutError:
            continue
        await asyncio.gather(*sent)
        verdicts = []
        for tp, records in fetched.items():
            rows = ((record.key, value) for record in records)
            verdicts += await _send(producer, plan.verdicts, tp.partition, rows)
        await asyncio.gather(*verdicts)
        done.update({tp: records[-1].offset + 1 for tp, records in fetched.items()})


async def _send(producer: Any, topic: str, partition: int, rows: Iterable[Row]) -> list[Any]:
    """Futures of as many record batches as the rows need."""
    builder, sent = producer.create_batch(), []
    for key, value in rows:
        if builder.append(timestamp=None, key=key, value=value) is None:
            sent.append(await producer.send_batch(builder, topic, partition=partition))
            builder = producer.create_batch()
            builder.append(timestamp=None, key=key, value=value)
    sent.append(await producer.send_batch(builder, topic, partition=partition))
    return sent


if __name__ == "__main__":
    uvloop.run(run(Plan.from_arguments()))
