"""Messages that cannot be used: set aside with their reason, their bytes untouched."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from stream.codecs import Rejected
from stream.metrics import Metrics
from stream.producer import Outgoing, Producer, Written

REASON, DETAIL, TOPIC, PARTITION, OFFSET = (
    "aegis-reason",
    "aegis-detail",
    "aegis-topic",
    "aegis-partition",
    "aegis-offset",
)
REPLAYED, REPLAYS = "aegis-replayed", "aegis-replays"
"""Of a message sent again: the place of its dead letter (`partition:offset`), and how often it was sent again so far.
They stay with it, so that the dead letter of one that fails again has them too."""


def is_replayed(headers: Sequence[tuple[str, Any]]) -> bool:
    """Was this message sent again by `aegis dead-letters replay`?"""
    return REPLAYED in dict(headers)


class DeadLetters:
    """Writes to `dead-letters.v1`, in the partition that the message came from; a message read again after a crash is
    written again, with the same source offset."""

    def __init__(self, producer: Producer, topic: str, metrics: Metrics) -> None:
        self._producer = producer
        self._topic = topic
        self._metrics = metrics

    def send(self, partition: int, letters: list[tuple[Any, Rejected]]) -> "asyncio.Future[list[Written]]":
        """`letters`: (aiokafka ConsumerRecord, why)."""
        for reason, count in Counter(why.reason for _, why in letters).items():
            self._metrics.dead_letters.labels(reason).inc(count)
        return self._producer.append(self._topic, partition, [_letter(record, why) for record, why in letters])


def _letter(record: Any, why: Rejected) -> Outgoing:
    """The source's own headers are kept too; ours come after them."""
    about = [
        (REASON, why.reason.encode()),
        (DETAIL, why.detail.encode(errors="replace")),
        *_source(record.topic, record.partition),
        (OFFSET, b"%d" % record.offset),
    ]
    return Outgoing(record.key, record.value, [*record.headers, *about])


@lru_cache(maxsize=1024)
def _source(topic: str, partition: int) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    """The same for all letters of a partition."""
    return (TOPIC, topic.encode()), (PARTITION, b"%d" % partition)
