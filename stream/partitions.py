"""A partition's owner: its state, and the only writer of its changelog."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from aiokafka.errors import KafkaError

from ensemble.codec import decode
from ensemble.moments import Moments, zero
from stream import state
from stream.bounded import Bounded, bytes_of
from stream.errors import StreamError, WriteError
from stream.producer import Outgoing, Written, fenced
from stream.stores import MemoryStore, PartitionStore

SUMS_BYTES = 4 << 20
"""Of decoded moments in one partition, unless told otherwise: 240 contexts."""


class Appender(Protocol):
    """What a partition needs of the producer."""

    def append(
        self, topic: str, partition: int, records: list[Outgoing], atomic: bool = False
    ) -> "asyncio.Future[list[Written]]": ...


Fatal = Callable[[StreamError], None]
"""Ends the worker with one line; does not return in production."""


class Partition:
    """State of one partition, from claim to revocation.

    Reads see writes at once, the store only what the broker has acknowledged: so store and changelog cannot
    disagree. Writes are synchronous and ordered, so two agents on one loop that read and write without awaiting in
    between see each other's effects. `next_offset`: where the next changelog record must land; if it lands elsewhere
    another writer is at work, and this one ends."""

    def __init__(
        self,
        number: int,
        changelog: str,
        store: PartitionStore,
        producer: Appender,
        fatal: Fatal,
        sums_bytes: int = SUMS_BYTES,
    ) -> None:
        self.number = number
        self.changelog = changelog
        self.store = store
        self.generation = 0
        self.next_offset = -1
        self.decided = 0
        """Turns decided here, counted for whoever asks how many are pending."""
        self.waiting: int | None = None
        """With `decided` the turns that wait for labels; None before they were counted."""
        self.early: dict[bytes, set[bytes]] = {}
        self.due: list[tuple[int, bytes]] = []
        self.moments: Bounded[str, Moments] = Bounded(sums_bytes, bytes_of)
        self._producer = producer
        self._fatal = fatal
        self._unacknowledged: deque[dict[bytes, bytes | None]] = deque()
        self._last: asyncio.Future[None] | None = None

    async def settle(self, seconds: float) -> bool:
        """Wait until every write is acknowledged and applied; False if that took longer than `seconds`."""
        if self._last is not None and not self._last.done():
            await asyncio.wait([self._last], timeout=seconds)
        return self._last is None or self._last.done()

    def get(self, key: bytes) -> bytes | None:
        """The newest value, acknowledged or not."""
        for items in reversed(self._unacknowledged):
            if key in items:
                return items[key]
        return self.store.get(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """What `get` gives of each of these."""
        values = self.store.get_many(keys)
        for items in self._unacknowledged:  # the oldest first, so that the newest stays
            if not items.keys().isdisjoint(keys):
                values = [items.get(key, value) for key, value in zip(keys, values, strict=True)]
        return values

    def write(self, items: dict[bytes, bytes | None], atomic: bool = False) -> "asyncio.Future[None]":
        """Append to the changelog (None is a tombstone); visible to `get` at once, so `items` must not change after.

        The future ends when the broker has it and the store too. Raises ValueError if `atomic` items do not fit one
        record batch.
        """
        appended = self._producer.append(
            self.changelog, self.number, [Outgoing(k, v) for k, v in items.items()], atomic
        )
        self._unacknowledged.append(items)
        for key in items:
            if key[0] == EARLY_BYTE:
                self._index_early(key, items[key])
        self._last = asyncio.ensure_future(self._apply(appended, items, self._last))
        return self._last

    async def _apply(
        self,
        appended: "asyncio.Future[list[Written]]",
        items: dict[bytes, bytes | None],
        before: "asyncio.Future[None] | None",
    ) -> None:
        try:
            batches = await appended
            if before is not None and not before.done():
                await asyncio.wait([before])
        except KafkaError as error:
            self._fatal(fenced(error, self.changelog, self.number))
            raise
        for base, count in batches:
            if base != self.next_offset:
                stranger = WriteError(
                    f"{self.changelog}[{self.number}]: a record came to offset {base} instead of {self.next_offset},"
                    " so there is another writer: this worker ends and reads the changelog again"
                )
                self._fatal(stranger)
                raise stranger
            self.next_offset += count
        try:
            self.store.apply(items.items(), self.next_offset - 1)
        except StreamError as error:
            self._fatal(error)
            raise
        applied = self._unacknowledged.popleft()
        assert applied is items, "writes are acknowledged in their order"

    def early_of(self, tenant: str, turn_id: str) -> list[bytes]:
        """Keys of the early labels of a turn."""
        return sorted(self.early.get(state.early_prefix(tenant, turn_id), ())) if self.early else []

    def due_early(self, now: int) -> Iterator[tuple[bytes, state.Early]]:
        """Early labels that are to be looked for again by `now` (ms); each is given once."""
        while self.due and self.due[0][0] <= now:
            due, key = heapq.heappop(self.due)
            value = self.get(key)
            if value is not None and (early := state.decode_early(value)).due_ms == due:
                yield key, early

    def rebuild(self) -> None:
        """After recovery: indexes and caches are derived from the records."""
        self.early, self.due = {}, []
        self.moments.clear()
        for key, value in self.store.scan(state.EARLY):
            self._index_early(key, value)

    def _index_early(self, key: bytes, value: bytes | None) -> None:
        prefix = state.early_prefix_of(key)
        if value is not None:
            self.early.setdefault(prefix, set()).add(key)
            heapq.heappush(self.due, (state.decode_early(value).due_ms, key))
        elif keys := self.early.get(prefix):
            keys.discard(key)
            if not keys:
                del self.early[prefix]

    def moments_of(self, context: str) -> Moments:
        """The sums of a context in this partition, all of them zero where nothing was learned yet. What was forgotten
        is read from what was written last, acknowledged or not, so forgetting loses nothing."""
        known = self.moments.get(context)
        if known is None:
            stored = self.get(state.moments_key(context))
            known = self.moments[context] = decode(stored) if stored is not None else zero(())
        return known

    def contexts(self) -> Iterator[str]:
        """Contexts that have learned something here."""
        return (key[1:].decode() for key, _ in self.store.scan(state.MOMENTS))

    def has_state(self) -> bool:
        """Has any input ever had an effect here?"""
        prefixes = (state.PENDING, state.MOMENTS, state.EARLY, state.CONVERSATION)
        return any(True for prefix in prefixes for _ in self.store.scan(prefix))

    def detach(self) -> PartitionStore:
        """The partition has moved away: whoever gets its store is the only one to touch it. What is acknowledged to us
        after this stands in the changelog, where the store is brought up to it."""
        self.generation = 0
        store, self.store = self.store, MemoryStore()
        return store

    def close(self) -> None:
        self.detach().close()


EARLY_BYTE = state.EARLY[0]


def apply_changelog(store: PartitionStore, records: Sequence[Any]) -> None:
    """Bring a store up to the last of these records (aiokafka ConsumerRecord, in offset order)."""
    store.apply([(r.key, r.value) for r in records if r.key != state.CLAIM], records[-1].offset)


def now_ms() -> int:
    """The only clock of the state: milliseconds since 1970."""
    return time.time_ns() // 1_000_000
