"""Fills the inputs and reads the outputs, by librdkafka: it takes the least of the processors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from benchmarks.cluster import ANSWER_SECONDS, Cluster
from benchmarks.hostile.ledger import Ledger
from benchmarks.hostile.messages import Message

FLUSH_SECONDS = 300.0
READ_RECORDS = 5_000


def fill(bootstrap: str, topics: dict[str, str], messages: Iterable[Message], ledger: Ledger) -> int:
    """Sends every message to its partition, in order, and notes it; returns the bytes of keys and values."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,  # else a retry could change the order, and with it the offsets
            "acks": "all",
            "message.max.bytes": 2_000_000,
            "queue.buffering.max.kbytes": 200_000,
        }
    )
    size, failed = 0, list[str]()

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(str(error))

    for message in messages:
        ledger.note(message)
        size += len(message.key or b"") + len(message.value or b"")
        arguments = {"partition": message.partition, "headers": message.headers, "on_delivery": delivered}
        while True:
            try:
                producer.produce(topics[message.topic], message.value, message.key, **arguments)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(FLUSH_SECONDS) or failed:
        raise RuntimeError(f"the topics were not filled: {failed[:1] or 'the broker is too slow'}")
    return size


def records(bootstrap: str, cluster: Cluster, topic: str, numbers: Iterable[int]) -> Iterator[Any]:
    """Every record of these partitions up to where they end now."""
    numbers = list(numbers)
    ends = cluster.ends(topic, max(numbers) + 1)
    left = {number: ends[number] for number in numbers if ends[number]}
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in left])
    deadline = time.monotonic() + ANSWER_SECONDS
    while left:
        for record in reader.consume(READ_RECORDS, 0.2):
            deadline = time.monotonic() + ANSWER_SECONDS
            yield record
            if record.offset() + 1 >= left.get(record.partition(), 0):
                left.pop(record.partition(), None)
        if time.monotonic() > deadline:
            raise RuntimeError(f"{topic}: nothing more came for {ANSWER_SECONDS:g} s before the end was read")
    reader.close()


def each(found: Iterable[Any], take: Callable[[Any], None]) -> None:
    """Hands every record on."""
    for record in found:
        take(record)
