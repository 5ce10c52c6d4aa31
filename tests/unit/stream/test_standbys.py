"""Standbys: one task writes their stores, and lets go of one that is promoted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from stream.errors import StateError
from stream.metrics import Metrics
from stream.rocks import EMPTY
from stream.settings import Settings
from stream.standbys import Standbys
from stream.stores import MemoryStore

CHANGELOG = "ours-state-changelog"
PENDING = b"\xdc\x00\x16\x01"


class Log:
    """A changelog as a consumer sees it; `before` is called in the middle of each fetch."""

    def __init__(self, ends: dict[int, int], begins: int = 0) -> None:
        self.ends, self.begins = ends, begins
        self.positions: dict[TopicPartition, int] = {}
        self.value = PENDING
        self.before: Callable[[], None] = lambda: None

    def assign(self, tps: list[TopicPartition]) -> None:
        self.positions = {}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.positions[tp] = offset

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, self.begins)

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.ends[tp.partition] for tp in tps}

    def highwater(self, tp: TopicPartition) -> int:
        return self.ends[tp.partition]

    async def position(self, tp: TopicPartition) -> int:
        return self.positions[tp]

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        found = {}
        for tp, position in self.positions.items():
            if position < self.begins:
                raise OffsetOutOfRangeError({tp: position})
            if position < self.ends[tp.partition]:
                found[tp] = [
                    SimpleNamespace(
                        topic=tp.topic, partition=tp.partition, offset=position, key=b"p%d" % position, value=self.value
                    )
                ]
                self.positions[tp] += 1
        self.before()
        return found


class Kept:
    """Standbys over such a log, and every store that was opened."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.opened: list[tuple[int, MemoryStore]] = []
        self.metrics = Metrics()
        self.standbys = Standbys(Settings.load(), CHANGELOG, self.open, self.metrics)

    def open(self, number: int) -> MemoryStore:
        self.opened.append((number, MemoryStore()))
        return self.opened[-1][1]

    def gauge(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)

    async def until(self, done: Callable[[], bool]) -> None:
        """Tail until the log, between two fetches, finds that it is so."""
        tail: asyncio.Task[None] = asyncio.ensure_future(self.standbys._tail(self.log))

        async def watch() -> None:
            while not done() and not tail.done():
                await asyncio.sleep(0)

        await asyncio.wait_for(watch(), 10.0)
        tail.cancel()
        await asyncio.gather(tail, return_exceptions=True)
        assert done()


async def test_what_is_followed_is_kept_up_and_its_lag_is_told() -> None:
    kept = Kept(Log({0: 3, 2: 5}))
    kept.standbys.follow({0, 2}, {})
    await kept.until(lambda: kept.gauge("aegis_standbys") == 2 and kept.gauge("aegis_standby_lag_records") == 0)
    assert {number: store.offset for number, store in kept.opened} == {0: 2, 2: 4}


async def test_a_store_that_was_handed_over_is_not_written_even_with_what_was_being_fetched() -> None:
    kept = Kept(Log({0: 5}))
    kept.standbys.follow({0}, {})
    taken: list[Any] = []

    def promote() -> None:
        if kept.opened[0][1].offset == 2 and not taken:
            taken.append(kept.standbys.take(0))

    kept.log.before = promote
    await kept.until(lambda: bool(taken))
    for _ in range(20):
        await asyncio.sleep(0)
    assert taken == [kept.opened[0][1]]
    assert taken[0].offset == 2
    assert kept.standbys.take(0) is None


async def test_a_store_that_was_owned_here_goes_on_as_a_standby_and_is_read_from_where_it_stands() -> None:
    kept, owned = Kept(Log({0: 5})), MemoryStore()
    owned.apply([(b"p0", b"mine")], 3)
    kept.standbys.follow({0}, {0: owned})
    await kept.until(lambda: owned.offset == 4)
    assert owned.get(b"p0") == b"mine"
    assert kept.opened == []


async def test_what_is_not_followed_any_more_is_closed() -> None:
    kept = Kept(Log({0: 2, 1: 2}))
    kept.standbys.follow({0, 1}, {})
    await kept.until(lambda: kept.gauge("aegis_standby_lag_records") == 0 and kept.gauge("aegis_standbys") == 2)
    closed = dict(kept.opened)[1]
    kept.standbys.follow({0}, {})
    assert closed.get(b"p0") is None
    assert kept.standbys.take(1) is None


async def test_a_store_that_cannot_be_opened_or_whose_next_record_is_gone_is_given_up_for_a_while() -> None:
    kept = Kept(Log({0: 9}, begins=4))
    kept.standbys.follow({0}, {})
    await kept.until(lambda: kept.gauge("aegis_standbys") == 0)
    assert kept.standbys.take(0) is None

    def refuse(number: int) -> MemoryStore:
        raise StateError("no room")

    kept.standbys._open_store = refuse
    kept.standbys.follow({1}, {})
    await kept.standbys._tail(kept.log)
    assert kept.standbys.take(1) is None


async def test_a_store_that_is_ahead_of_its_changelog_is_emptied_and_read_anew() -> None:
    kept, ahead = Kept(Log({0: 2})), MemoryStore()
    ahead.apply([(b"p9", b"old")], 9)
    kept.standbys.follow({0}, {0: ahead})
    await kept.standbys._tail(kept.log)
    assert ahead.offset == EMPTY
    await kept.until(lambda: ahead.offset == 1)
    assert ahead.get(b"p9") is None


@pytest.mark.parametrize("version", [0, 2, 99])
async def test_a_record_of_another_version_is_not_applied(version: int) -> None:
    kept = Kept(Log({0: 1}))
    kept.standbys.follow({0}, {})
    kept.log.value = bytes([0x92, version, 0])
    await kept.standbys._tail(kept.log)
    assert kept.opened[0][1].offset == EMPTY
    assert kept.standbys.take(0) is None
