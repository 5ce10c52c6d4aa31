"""Bare aiokafka, one record at a time: how its documentation begins, with the acknowledgements awaited behind.

Each verdict is sent when its changelog record is acknowledged, and its offset committed when it is itself."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.contestants.aiokafka_batches import producer_of
from benchmarks.plan import COMMIT_SECONDS, Plan

WAITING = 10_000
"""Records behind the reader at most: above what the others have in flight."""
Sent = asyncio.Queue[tuple[Any, Any]]


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
        pending, verdicts = Sent(WAITING), Sent(WAITING)
        done: dict[Any, int] = {}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_write_changelog(plan, consumer, producer, pending))
            tasks.create_task(_write_verdicts(plan, producer, pending, verdicts))
            tasks.create_task(_note(verdicts, done))
            tasks.create_task(_commit(consumer, done))


async def _write_changelog(plan: Plan, consumer: Any, producer: Any, pending: Sent) -> None:
    value = plan.changelog_value
    async for record in consumer:
        key = plan.changelog_key(record.partition, record.offset)
        future = await producer.send(plan.changelog, value, key, partition=record.partition)
        await pending.put((record, future))


async def _write_verdicts(plan: Plan, producer: Any, pending: Sent, verdicts: Sent) -> None:
    value = plan.verdict
    while True:
        record, future = await pending.get()
        await future
        sent = await producer.send(plan.verdicts, value, record.key, partition=record.partition)
        await verdicts.put((record, sent))


async def _note(verdicts: Sent, done: dict[Any, int]) -> None:
    while True:
        record, future = await verdicts.get()
        await future
        done[TopicPartition(record.topic, record.partition)] = record.offset + 1


async def _commit(consumer: Any, done: dict[Any, int]) -> None:
    committed = dict[Any, int]()
    while True:
        began = time.monotonic()
        if done != committed:
            committed = dict(done)
            await consumer.commit(committed)
        await asyncio.sleep(max(0.0, COMMIT_SECONDS - (time.monotonic() - began)))


if __name__ == "__main__":
    uvloop.run(run(Plan.from_arguments()))
