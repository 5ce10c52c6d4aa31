"""Where a label goes that finds no turn."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka.partitioner import murmur2

from stream import state
from stream.codecs import encode
from stream.counting import Countings
from stream.intake import Intake
from stream.learn import Learner
from stream.metrics import Metrics
from stream.partitions import Partition
from stream.pipeline import Slice
from stream.policies import Policies
from stream.producer import Outgoing, Written
from stream.records import Label
from stream.settings import Settings
from stream.stores import MemoryStore
from stream.topics import TopicNames
from stream.view import MergedView
from support.flow import label

COUNT, NOW = 4, 1_700_000_000_000


@dataclass
class Topics:
    """A producer whose broker acknowledges nothing."""

    sent: list[tuple[str, int, list[Outgoing]]] = field(default_factory=list)

    def append(
        self, topic: str, partition: int, records: list[Outgoing], atomic: bool = False
    ) -> asyncio.Future[list[Written]]:
        self.sent.append((topic, partition, records))
        return asyncio.get_running_loop().create_future()

    def partitions(self, topic: str) -> int:
        return COUNT


async def learn(settings: Settings, topics: Topics, here: int, labels: Iterable[Label], counts: list[int]) -> None:
    """Read labels in partition `here`, whose state is empty, when the counts of partitions so far are these."""

    def fatal(error: Exception) -> None:
        raise error

    parts: Any = topics
    view = MergedView(settings)
    view.partition_counts = counts
    learner = Learner(settings, parts, view, parts, parts, Metrics(), Countings(Policies(settings)), lambda: NOW)
    partition = Partition(here, TopicNames.of(settings).changelog, MemoryStore(), topics, fatal)
    records = [
        SimpleNamespace(value=encode(label), key=b"k", headers=(), timestamp=NOW, offset=offset)
        for offset, label in enumerate(labels)
    ]
    await learner._learn(Slice(partition, 0, Intake.at(0, 0), records))


def hashes(said: Label) -> tuple[int, int]:
    """The partitions that murmur2 and CRC32 give its key."""
    key = said.conversation_id.encode()
    return (murmur2(key) & 0x7FFFFFFF) % COUNT, zlib.crc32(key) % COUNT


async def test_a_label_is_forwarded_to_the_partition_of_its_key_even_before_any_count_was_read() -> None:
    settings, topics, said = Settings.load(), Topics(), label("t2")
    murmur, crc = hashes(said)
    here = next(number for number in range(COUNT) if number not in (murmur, crc))
    await learn(settings, topics, here, [said], counts=[])
    ((topic, partition, (forwarded,)),) = topics.sent
    assert (topic, partition) == (TopicNames.of(settings).labels, murmur)
    assert forwarded.value == encode(said)


async def test_a_label_that_can_have_its_turn_nowhere_else_is_kept_as_early() -> None:
    settings, topics, said = Settings.load(), Topics(), label("t1")
    murmur, crc = hashes(said)
    assert murmur == crc
    await learn(settings, topics, murmur, [said], counts=[])
    ((topic, partition, (kept,)),) = topics.sent
    assert (topic, partition) == (TopicNames.of(settings).changelog, murmur)
    assert kept.key == state.early_key(said.tenant, said.turn_id, said.annotator)
