"""The records of one topic, as they come or as they are there: what `aegis tail` prints."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream import topics_admin
from stream.errors import BrokerError, TopicsError
from stream.reading import read_until, reader, take_up
from stream.refusals import unseen
from stream.settings import Settings

POLL_MS = 500

Found = AsyncGenerator[tuple[int, list[Any]], None]
Spans = dict[int, tuple[int, int]]
"""Of each partition, the first offset and the one to stop before."""


async def existing(
    settings: Settings,
    topic: str,
    since_ms: int | None = None,
    narrow: Callable[[Spans], Spans] = lambda spans: spans,
) -> AsyncGenerator[list[Any], None]:
    """Yields the aiokafka ConsumerRecords that the topic held when this began, in offset order within a partition.

    Of those before `since_ms` (ms since 1970) few are read; `narrow` is given what is there and says what to read.
    Raises TopicsError, one line, when the topic is not there, BrokerError when no broker answers or it falls silent.
    """
    tps = await _partitions(settings, topic)
    try:
        async with reader(settings) as consumer:
            starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
            if since_ms is not None:
                later = await consumer.offsets_for_times(dict.fromkeys(tps, max(0, since_ms)))
                starts = {tp: ends[tp] if at is None else at.offset for tp, at in later.items()}
            spans = narrow({tp.partition: (starts[tp], ends[tp]) for tp in tps})
            found = read_until(consumer, topic, spans, settings.write_timeout)
            async with aclosing(cast(Found, found)) as reading:
                async for _, records in reading:
                    yield records
    except (KafkaError, TimeoutError) as error:
        raise _silent(settings, error) from error


async def follow(
    settings: Settings,
    topic: str,
    from_beginning: bool = False,
    since_ms: int | None = None,
    caught_up: Callable[[], None] = lambda: None,
) -> AsyncGenerator[list[Any], None]:
    """Yields what each fetch brings, for ever; starts at the end of each partition unless `from_beginning`, or at the
    first record since `since_ms` (ms since 1970). `caught_up` is told when all that was there has been yielded.

    Partitions that are added later are read from their start. A broker that goes away is waited for. Errors as of
    `existing`.
    """
    tps = await _partitions(settings, topic)
    try:
        async with reader(settings) as consumer:
            ends = await consumer.end_offsets(tps)
            later: dict[TopicPartition, Any] = {}
            if since_ms is not None:
                later = await consumer.offsets_for_times(dict.fromkeys(tps, max(0, since_ms)))
            consumer.assign(tps)  # from here on it fetches: nothing may be awaited before it knows from where
            for tp, at in later.items():
                consumer.seek(tp, ends[tp] if at is None else at.offset)
            if not later:
                await (consumer.seek_to_beginning if from_beginning else consumer.seek_to_end)(*tps)
            yield []  # the positions are set: whatever comes from now on is read
            while True:
                if ends and all([await consumer.position(tp) >= end for tp, end in ends.items()]):
                    ends = {}
                    caught_up()
                await take_up(consumer, _known(consumer, topic))
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    yield records
    except KafkaError as error:
        raise _silent(settings, error) from error


async def _partitions(settings: Settings, topic: str) -> list[TopicPartition]:
    # Asked of the admin client: a consumer that names a topic would make it on a broker that makes topics by itself.
    found = await topics_admin.partitions(settings, [topic])
    if topic not in found:
        remedy = "run `aegis topics create`, or name one that is there"
        raise TopicsError(f"topic {topic} does not exist{unseen(settings)}: {remedy}")
    return [TopicPartition(topic, number) for number in range(found[topic])]


def _known(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]


def _silent(settings: Settings, error: Exception) -> BrokerError:
    return BrokerError(f"the broker at {settings.broker} does not answer any more ({error!r}): see that it runs")
