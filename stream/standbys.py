"""Standbys: copies of partitions that other workers own, so that a takeover reads only what was written last.

One task tails their changelogs. It is the only one that writes to a standby's store, and everything here happens on
one loop between two awaits, so a store that is handed over is never touched again. What fails here is told and tried
again later: a standby is a convenience, and its worker owns other partitions."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from stream.errors import StreamError
from stream.metrics import Metrics
from stream.reading import reader
from stream.recovery import apply_known
from stream.settings import Settings
from stream.stores import PartitionStore

log = structlog.get_logger()

POLL_MS = 500
TOGETHER = 1000
"""Records applied before the loop gets its turn (about 5 ms): a standby that catches up must not slow the partitions
that are owned here."""
RETRY_SECONDS = 30.0
"""Before a standby that failed is tried again: a full disk or a cut log does not mend itself in less."""


class Standbys:
    """The stores kept up here, by partition."""

    def __init__(
        self, settings: Settings, changelog: str, open_store: Callable[[int], PartitionStore], metrics: Metrics
    ) -> None:
        self._settings = settings
        self._changelog = changelog
        self._open_store = open_store
        self._metrics = metrics
        self._wanted: set[int] = set()
        self._stores: dict[int, PartitionStore] = {}
        self._retry_at: dict[int, float] = {}
        self._lags: dict[int, int] = {}
        self._changed = asyncio.Event()

    def take(self, number: int) -> PartitionStore | None:
        """A partition is promoted: its store, which nobody here touches from now on; None if there is none."""
        self._changed.set()
        self._wanted.discard(number)
        return self._stores.pop(number, None)

    def follow(self, numbers: set[int], given: Mapping[int, PartitionStore]) -> None:
        """Keep these from now on, and no others. `given`: stores of partitions that were owned here until now."""
        if numbers == self._wanted and not given:
            return
        self._changed.set()
        self._wanted = set(numbers)
        self._retry_at = {}
        for number in set(self._stores) - numbers:
            self._stores.pop(number).close()
        self._stores |= given
        if numbers:
            log.info("standbys_assigned", partitions=sorted(numbers))

    @property
    def stores(self) -> Mapping[int, PartitionStore]:
        """Those that are kept up now; to look at, or to purge."""
        return self._stores

    def close(self) -> None:
        """Call when the task has ended."""
        self.follow(set(), {})

    async def run(self) -> None:
        """For ever: keep up with the changelogs of the partitions that are followed."""
        while True:
            self._tell()
            try:
                if self._wanted:
                    async with reader(self._settings, reset="none") as consumer:
                        while self._wanted:
                            await self._tail(consumer)
            except (KafkaError, OSError) as error:
                log.warning("standbys_interrupted", reason=repr(error), retry_seconds=RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
            if not self._wanted:
                await self._changed.wait()
                self._changed.clear()

    async def _tail(self, consumer: AIOKafkaConsumer) -> None:
        """Read on until other partitions are to be followed, or one failed."""
        self._changed.clear()
        now = asyncio.get_running_loop().time
        self._open(now())
        await self._refuse_gaps(consumer)
        tps = {number: TopicPartition(self._changelog, number) for number in self._stores}
        consumer.assign(list(tps.values()))
        for number, tp in tps.items():
            consumer.seek(tp, self._stores[number].offset + 1)
        while not self._changed.is_set() and not self._is_due(now()):
            try:
                found = await consumer.getmany(timeout_ms=POLL_MS, max_records=TOGETHER) if tps else {}
            except OffsetOutOfRangeError as error:
                for tp in error.args[0]:
                    self._fail(tp.partition, "its changelog was cut while it was read")
                return
            if self._changed.is_set():
                return  # what was fetched may be of a store that is not here any more
            for tp, records in found.items():
                self._apply(tp.partition, records)
            for number, tp in tps.items():
                self._lags[number] = max(0, (consumer.highwater(tp) or 0) - await consumer.position(tp))
            self._tell()
            if not tps:
                await asyncio.sleep(POLL_MS / 1000)

    async def _refuse_gaps(self, consumer: AIOKafkaConsumer) -> None:
        """Give up a store whose next record is not there any more, and empty one that is ahead of its changelog."""
        tps = [TopicPartition(self._changelog, number) for number in self._stores]
        begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        for tp in tps:
            store = self._stores.get(tp.partition)
            if store is not None and begins[tp] > store.offset + 1:
                self._fail(tp.partition, f"its changelog begins at {begins[tp]}, behind what it has")
            elif store is not None and ends[tp] < store.offset + 1:
                self._attempt(tp.partition, store.clear)
                self._changed.set()

    def _open(self, now: float) -> None:
        for number in sorted(self._wanted - set(self._stores)):
            if self._retry_at.get(number, now) <= now:
                self._attempt(number, partial(self._begin, number))

    def _begin(self, number: int) -> None:
        self._stores[number] = self._open_store(number)

    def _is_due(self, now: float) -> bool:
        """Is a standby that failed to be tried again?"""
        return any(self._retry_at.get(number, now) <= now for number in self._wanted - set(self._stores))

    def _apply(self, number: int, records: list[object]) -> None:
        if (store := self._stores.get(number)) is not None:
            self._attempt(number, partial(apply_known, store, records))

    def _attempt(self, number: int, step: Callable[[], object]) -> None:
        try:
            step()
        except StreamError as error:
            self._fail(number, str(error))

    def _fail(self, number: int, reason: str) -> None:
        """Give a standby up for a while; its partition is read from the changelog if it is promoted meanwhile."""
        if (store := self._stores.pop(number, None)) is not None:
            store.close()
        self._retry_at[number] = asyncio.get_running_loop().time() + RETRY_SECONDS
        self._changed.set()
        log.warning("standby_failed", partition=number, reason=reason, retry_seconds=RETRY_SECONDS)

    def _tell(self) -> None:
        self._lags = {number: lag for number, lag in self._lags.items() if number in self._stores}
        self._metrics.standbys.set(len(self._stores))
        self._metrics.standby_lag.set(sum(self._lags.values()))
