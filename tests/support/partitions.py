"""A partition without a broker: a log in a list, acknowledged when the test says so."""

from __future__ import annotations

import asyncio
from typing import Any

from stream import state
from stream.errors import StreamError
from stream.partitions import Partition, apply_changelog
from stream.producer import Outgoing, Written
from stream.stores import MemoryStore


class Log:
    """A changelog partition and its producer. `acknowledge` answers the appends so far, in order."""

    def __init__(self) -> None:
        self.batches: list[list[Outgoing]] = []
        self.waiting: list[tuple[asyncio.Future[list[Written]], int, int]] = []

    @property
    def end(self) -> int:
        return sum(len(batch) for batch in self.batches)

    def append(
        self, topic: str, partition: int, records: list[Outgoing], atomic: bool = False
    ) -> asyncio.Future[list[Written]]:
        answer: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        self.waiting.append((answer, self.end, len(records)))
        self.batches.append(list(records))
        return answer

    async def acknowledge(self, shift: int = 0) -> None:
        """`shift` records of somebody else came in between."""
        waiting, self.waiting = self.waiting, []
        for answer, base, count in waiting:
            answer.set_result([Written(base + shift, count)])
        for _ in range(5):
            await asyncio.sleep(0)

    async def fail(self, error: BaseException) -> None:
        waiting, self.waiting = self.waiting, []
        for answer, _, _ in waiting:
            answer.set_exception(error)
        for _ in range(5):
            await asyncio.sleep(0)

    def restored(self) -> MemoryStore:
        """A store read from the whole log."""
        store = MemoryStore()
        records = [record for batch in self.batches for record in batch]
        if records:
            apply_changelog(store, [_Read(offset, r.key, r.value) for offset, r in enumerate(records)])
        return store


class _Read:
    def __init__(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        self.offset, self.key, self.value = offset, key, value


class Owned:
    """A partition that was just claimed, its log, and the errors that ended its worker."""

    def __init__(self, number: int = 0) -> None:
        self.log = Log()
        self.log.batches.append([Outgoing(state.CLAIM, b"")])
        self.errors: list[StreamError] = []
        self.partition = Partition(number, "changelog", MemoryStore(), self.log, self.errors.append)
        self.partition.next_offset = self.log.end
        self.partition.generation = 1

    def check_restores(self, keys: list[bytes]) -> None:
        """What recovery would read is what the store holds."""
        restored: Any = self.log.restored()
        for key in keys:
            assert restored.get(key) == self.partition.store.get(key), key
