"""What the state forgets: what is over as it stands now, and nothing of a partition that was given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from stream import state
from stream.expiry import TOGETHER, Swept, expire_conversations, expire_pending, scored_before, sweep, written_before
from stream.metrics import Metrics
from stream.partitions import now_ms
from stream.settings import Settings
from support.partitions import Owned

HOUR = 3_600_000


def conversation(written_ms: int) -> bytes:
    return state.encode(state.Conversation(state.SCHEMA_VERSION, written_ms, 0, 40, (1,), (("user", "a text"),)))


def pending(scored_at_ms: int) -> bytes:
    record = state.Pending(
        state.SCHEMA_VERSION, scored_at_ms, b"", 0, 0, 0, "t/user", "permissive", 0,
        (), b"", b"", b"", b"", None, 0, 0.0, {}, 1.0, {},
    )  # fmt: skip
    return state.encode(record)


class Kept:
    """A partition with these records, and its owner."""

    def __init__(self, records: dict[bytes, bytes]) -> None:
        self.owned = Owned()
        self.partition = self.owned.partition
        self.partition.store.apply(records.items(), 0)
        self.owner: Any = SimpleNamespace(partitions={0: self.partition}, owner_of=self.owner_of)

    def owner_of(self, number: int, generation: int) -> object:
        return self.partition if generation == self.partition.generation == 1 else None

    async def sweep(self, prefix: bytes, before_ms: int) -> int:
        over = scored_before(before_ms) if prefix == state.PENDING else written_before(before_ms)
        return (await self.acknowledged(sweep(self.partition, self.owner, prefix, over))).deleted

    async def acknowledged(self, work: Awaitable[Swept]) -> Swept:
        """The work's result, with every write acknowledged."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await self.owned.log.acknowledge()
        return task.result()

    async def until_left(self, forever: Awaitable[None], keys: Iterable[bytes]) -> None:
        """Let a background task run until these records are all that is left."""
        task = asyncio.ensure_future(forever)
        async with asyncio.timeout(10):
            while [key for key, _ in self.partition.store.scan(b"")] != list(keys):
                await self.owned.log.acknowledge()
        task.cancel()


@pytest.mark.parametrize(("prefix", "record"), [(state.PENDING, pending), (state.CONVERSATION, conversation)])
async def test_what_is_over_goes_and_the_rest_stays_in_store_and_changelog(prefix: bytes, record: Any) -> None:
    count = 2 * TOGETHER + 10
    kept = Kept({prefix + b"%d" % n: record(n) for n in range(count)} | {b"m": b"moments", b"e1": b"early"})
    assert await kept.sweep(prefix, 700) == 700
    left = [key for key, _ in kept.partition.store.scan(prefix)]
    assert sorted(left) == sorted(prefix + b"%d" % n for n in range(700, count))
    assert len(list(kept.partition.store.scan(b""))) == len(left) + 2
    tombstones = [r.key for batch in kept.owned.log.batches[1:] for r in batch if r.value is None]
    assert len(tombstones) == len(set(tombstones)) == 700


async def test_a_conversation_that_goes_on_while_it_is_swept_stays() -> None:
    kept = Kept({b"c1": conversation(5), b"c2": conversation(5)})
    kept.partition.write({b"c1": conversation(20)})
    assert await kept.sweep(state.CONVERSATION, 10) == 1
    assert kept.partition.get(b"c1") == conversation(20)
    assert kept.partition.get(b"c2") is None


async def test_a_partition_that_was_given_back_is_left_as_it_is() -> None:
    kept = Kept({b"c%d" % n: conversation(5) for n in range(2 * TOGETHER)})
    work = asyncio.ensure_future(kept.sweep(state.CONVERSATION, 10))
    while len(kept.owned.log.batches) == 1:
        await asyncio.sleep(0)
    kept.partition.generation = 0
    assert await work == TOGETHER
    assert await kept.sweep(state.CONVERSATION, 10) == 0


async def test_conversations_go_when_they_are_idle() -> None:
    now, metrics = now_ms(), Metrics()
    kept = Kept({b"c1": conversation(now - 2 * HOUR), b"c2": conversation(now), b"p": pending(now - 2 * HOUR)})
    settings = Settings.load(conversation_idle="1h")
    await kept.until_left(expire_conversations(kept.owner, metrics, settings, 0.0), [b"c2", b"p"])
    assert metrics.registry.get_sample_value("aegis_conversations_expired_total") == 1


async def test_all_conversations_go_where_they_are_switched_off() -> None:
    kept = Kept({b"c1": conversation(now_ms() - 1000), b"c2": conversation(now_ms() - 1), b"p": pending(now_ms())})
    settings = Settings.load(conversations="off")
    await kept.until_left(expire_conversations(kept.owner, Metrics(), settings, 0.0), [b"p"])


async def test_pending_turns_go_an_hour_after_their_label_horizon() -> None:
    now, metrics = now_ms(), Metrics()
    kept = Kept({b"p1": pending(now - 4 * HOUR), b"p2": pending(now - 2 * HOUR), b"c": conversation(0)})
    await kept.until_left(expire_pending(kept.owner, metrics, 2 * 3600.0, 0.0), [b"p2", b"c"])
    assert metrics.registry.get_sample_value("aegis_pending_expired_total") == 1


async def test_a_sweep_counts_the_turns_that_are_still_pending() -> None:
    now, metrics = now_ms(), Metrics()
    kept = Kept({b"p%d" % n: pending(now - (4 if n < 3 else 1) * HOUR) for n in range(10)})
    kept.partition.decided = 5  # before the sweep: they are among what it finds
    task = asyncio.ensure_future(expire_pending(kept.owner, metrics, 2 * 3600.0, 0.0))
    async with asyncio.timeout(10):
        while kept.partition.waiting is None:
            await kept.owned.log.acknowledge()
    task.cancel()
    kept.partition.decided += 2
    assert kept.partition.waiting + kept.partition.decided == 7 + 2
