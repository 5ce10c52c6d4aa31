"""What an owner publishes of its contexts: the store's own bytes, what was learned at once, all of them in time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from ensemble import encode
from stream import projection, state
from stream.partitions import Partition
from stream.producer import Outgoing, Written
from stream.projection import Projection
from support.partitions import Owned
from support.rounds import learned, random_rounds


@dataclass
class Topic:
    """A producer, and its broker."""

    batches: list[list[Outgoing]] = field(default_factory=list)
    gzipped: list[bool] = field(default_factory=list)
    slow: list[asyncio.Future[list[Written]]] | None = None
    """Answers that have not come; None: they come at once."""

    def append(
        self, topic: str, partition: int, records: list[Outgoing], atomic: bool = False, gzip: bool = False
    ) -> asyncio.Future[list[Written]]:
        self.batches.append(records)
        self.gzipped.append(gzip)
        answer: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        if self.slow is None:
            answer.set_result([])
        else:
            self.slow.append(answer)
        return answer

    @property
    def contexts(self) -> list[str]:
        return [projection.context_of_key(record.key or b"") for batch in self.batches for record in batch]


def publishing(partition: Partition) -> tuple[Projection, Topic]:
    topic: Any = Topic()
    ownership: Any = SimpleNamespace(partitions={0: partition}, generation=1)
    return Projection(topic, "moments", ownership), topic


async def owned(contexts: int) -> Owned:
    """A partition that has learned something in so many contexts."""
    found = Owned()
    found.partition.write(
        {state.moments_key(f"t{n}/user"): encode(learned(random_rounds(n, 2))) for n in range(contexts)}
    )
    await found.log.acknowledge()
    return found


async def test_what_is_published_is_what_the_broker_has_acknowledged_as_of_its_offset() -> None:
    found = await owned(1)
    key, newer = state.moments_key("t0/user"), encode(learned(random_rounds(9, 3)))
    told, topic = publishing(found.partition)
    found.partition.write({key: newer})
    told.touch(found.partition, ["t0/user"])
    await told.flush()
    await found.log.acknowledge()
    told.touch(found.partition, ["t0/user"])
    await told.flush()
    ((first,), (second,)) = topic.batches
    assert projection.part_of(first.value or b"") == (1, encode(learned(random_rounds(0, 2))))
    assert projection.part_of(second.value or b"") == (2, newer)
    assert topic.gzipped == [True, True]


async def test_an_owner_that_begins_says_all_its_contexts_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "ANNOUNCED_TOGETHER", 4)
    monkeypatch.setattr(projection, "TOGETHER", 3)
    found = await owned(10)
    told, topic = publishing(found.partition)
    await told.begin(1)
    sizes = []
    for _ in range(4):
        before = len(topic.contexts)
        await told.publish()
        sizes.append(len(topic.contexts) - before)
    assert sizes == [4, 4, 2, 0]
    assert sorted(topic.contexts) == sorted(f"t{n}/user" for n in range(10))
    assert max(map(len, topic.batches)) == 3


async def test_what_is_learned_meanwhile_does_not_wait_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "ANNOUNCED_TOGETHER", 2)
    found = await owned(8)
    told, topic = publishing(found.partition)
    await told.begin(1)
    told.touch(found.partition, ["t7/user"])
    await told.publish()
    assert sorted(topic.contexts) == ["t0/user", "t1/user", "t7/user"]


async def test_nothing_is_said_of_a_partition_that_is_gone_or_not_ready() -> None:
    found = await owned(2)
    told, topic = publishing(found.partition)
    told.touch(found.partition, ["t0/user"])
    found.partition.generation = 0
    await told.flush()
    assert topic.batches == []


async def test_a_flush_waits_for_what_another_has_begun_with() -> None:
    """That a revocation is carried out must not be said before the moments that came of it are there."""
    found = await owned(1)
    told, topic = publishing(found.partition)
    topic.slow = []
    told.touch(found.partition, ["t0/user"])
    first = asyncio.create_task(told.publish())
    await asyncio.sleep(0)
    second = asyncio.create_task(told.flush())
    for _ in range(5):
        await asyncio.sleep(0)
    assert (len(topic.slow), second.done()) == (1, False)
    topic.slow[0].set_result([])
    await asyncio.gather(first, second)


async def test_what_a_generation_has_not_said_yet_can_be_hastened_and_is_not_said_twice() -> None:
    found = await owned(3)
    found.partition.generation = 1
    told, topic = publishing(found.partition)
    told.hasten(found.partition)
    await told.flush()
    assert topic.contexts == ["t0/user", "t1/user", "t2/user"]
    await told.begin(1)
    await told.publish()
    assert len(topic.contexts) == 6
    told.hasten(found.partition)
    await told.flush()
    assert len(topic.contexts) == 6
