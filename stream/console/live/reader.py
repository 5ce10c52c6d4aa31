"""Follows the topics and keeps at it: whatever goes wrong is told on the page, and tried again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream import connection
from stream.console.live.lag import Look
from stream.console.live.link import Link
from stream.console.live.polling import Poller
from stream.errors import StreamError
from stream.reading import FETCH_BYTES
from stream.refusals import unseen, why_not
from stream.settings import Settings
from stream.topics import METADATA_MS, TopicNames
from stream.topics_admin import topics_of

log = structlog.get_logger()

EVERY: Final = 2.0
"""Seconds between two looks at the group, and between two tries to connect."""
PATIENCE: Final = 5.0
"""Seconds within which a look must be answered; a broker that lives answers in milliseconds."""
BACK: Final = 900.0
"""Seconds that are read back when the console begins, of what is shown over time."""
MOST_BACK: Final = 200_000
"""Records of a topic that are read back: two seconds of work, however much traffic there was."""
LETTERS_BACK: Final = 1_000
"""Dead letters that are read back, however old: those that still wait to be mended."""
POLL_MS: Final = 200
SILENT: Final = 3
"""Fetches in a row without a record, after which what had been published before is read."""
TOGETHER: Final = 2_000
"""Records between two chances for the rest of the console (about 20 ms)."""
STEP: Final = 15.0
"""Seconds between two of the moments at which turns are counted back."""
FAILURES: Final = (KafkaError, OSError, TimeoutError, StreamError, ValueError)
"""What a connection that ends raises; aiokafka has ValueErrors among them (an address that is none)."""

FETCHING: Final = {
    "max_partition_fetch_bytes": FETCH_BYTES,
    "fetch_max_wait_ms": 200,
    "metadata_max_age_ms": METADATA_MS,
}

Take = Callable[[str, list[Any]], None]


class TopicReader:
    """Reads verdicts, labels, weights, modes of experts and dead letters without a group, each from where it must.

    `take(topic, records)` gets what was read, `looked` every look at the group, `counted_back` how many turns had come
    at moments of the past."""

    def __init__(
        self,
        settings: Settings,
        link: Link,
        take: Take,
        looked: Callable[[Look], None],
        counted_back: Callable[[list[tuple[float, int]]], None],
    ) -> None:
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._link = link
        self._take = take
        self._looked = looked
        self._counted_back = counted_back
        self._next: dict[TopicPartition, int] = {}
        """Where each partition is read on."""
        self._counted = False

    @property
    def _followed(self) -> tuple[str, ...]:
        n = self._names
        return (n.weights, n.experts, n.verdicts, n.labels, n.dead_letters)

    async def run(self) -> None:
        """For ever."""
        while True:
            before = self._link.state
            try:
                await self._connected()
            except FAILURES as error:
                self._link.down(time.time(), await self._why(error))
                if before != "down":
                    log.warning("broker_gone", broker=self._settings.broker, error=type(error).__name__)
            await asyncio.sleep(EVERY)

    async def _why(self, error: Exception) -> str:
        """In one line."""
        if isinstance(error, StreamError):
            return str(error)
        try:
            return await why_not(self._settings, PATIENCE) or "it does not answer"
        except StreamError as told:  # a file of credentials that cannot be used
            return str(told)

    async def _connected(self) -> None:
        """Read until the connection ends; then raises what ended it."""
        admin = connection.admin(self._settings, request_timeout_ms=int(PATIENCE * 1000))
        closing: list[Callable[[], Awaitable[None]]] = [admin.close]
        try:
            async with asyncio.timeout(PATIENCE * 2):
                await admin.start()
                partitions = await self._there(admin)
            if partitions:
                consumer = connection.consumer(self._settings, **FETCHING)
                closing.append(partial(_stop, consumer))
                await consumer.start()
                self._link.up(time.time())
                await self._assign(consumer, partitions)
                await self._work(consumer, admin)
        except FAILURES:
            self._link.down(time.time(), "it does not answer")  # at once: to close and to learn more takes seconds
            raise
        finally:
            await _close(closing)

    async def _work(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        """Read and look until one of them ends; raises what ended it."""
        poller = Poller(self._settings, consumer, admin)
        tasks = [asyncio.create_task(self._read(consumer)), asyncio.create_task(self._poll(poller, admin, consumer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _there(self, admin: AIOKafkaAdminClient) -> dict[str, int]:
        """The partitions of every topic that is followed, and of turns; empty, and told, when one is missing."""
        wanted = (*self._followed, self._names.turns)
        found = {name: len(parts) for name, parts in (await topics_of(admin, wanted)).items()}
        missing = [name for name in wanted if name not in found]
        if not missing:
            return found
        which = missing[0] if len(missing) == 1 else f"{len(missing)} topics, such as {missing[0]}"
        remedy = f"not there{unseen(self._settings)}: run `aegis topics create`"
        self._link.without_topics(time.time(), f"{which}: {remedy}")
        return {}

    async def _assign(self, consumer: AIOKafkaConsumer, partitions: Mapping[str, int]) -> None:
        """Read on where an earlier connection ended, begin elsewhere where each topic asks for it."""
        tps = [TopicPartition(name, number) for name in self._followed for number in range(partitions[name])]
        if not set(tps) - consumer.assignment():
            return
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        since = int((time.time() - BACK) * 1000)
        timed = [tp for tp in tps if tp not in self._next and tp.topic in (self._names.verdicts, self._names.labels)]
        at = await consumer.offsets_for_times(dict.fromkeys(timed, since)) if timed else {}
        for tp in tps:
            if tp not in self._next:
                self._next[tp] = self._begin(tp, starts[tp], ends[tp], at.get(tp), partitions[tp.topic])
        consumer.assign(tps)  # nothing is awaited from here on: what is read meanwhile would be read twice
        for tp in tps:
            # A topic that was made anew while nobody looked begins at 0 again.
            consumer.seek(tp, self._next[tp] if starts[tp] <= self._next[tp] <= ends[tp] else starts[tp])

    def _begin(self, tp: TopicPartition, start: int, end: int, since: Any, partitions: int) -> int:
        if tp.topic in (self._names.weights, self._names.experts):
            return start
        if tp.topic == self._names.dead_letters:
            return max(start, end - -(-LETTERS_BACK // partitions))
        return max(start, end - MOST_BACK // partitions, end if since is None else since.offset)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        silent = 0
        while True:
            found = await consumer.getmany(timeout_ms=POLL_MS, max_records=TOGETHER)
            for tp, records in found.items():
                self._take(tp.topic, records)
                self._next[tp] = records[-1].offset + 1
            silent = 0 if found else silent + 1
            self._link.filled = self._link.filled or silent >= SILENT
            await asyncio.sleep(0)

    async def _poll(self, poller: Poller, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        if not self._counted:  # once: later connections would count the same turns again
            await self._count_back(poller, admin)
        while True:
            async with asyncio.timeout(PATIENCE):
                partitions = await self._there(admin)
                if not partitions:
                    return
                await self._assign(consumer, partitions)
                self._looked(await poller.look(partitions))
            self._link.up(time.time())
            await asyncio.sleep(EVERY)

    async def _count_back(self, poller: Poller, admin: AIOKafkaAdminClient) -> None:
        async with asyncio.timeout(PATIENCE * 4):
            turns = (await self._there(admin)).get(self._names.turns, 0)
            now = time.time()
            moments = [now - BACK + step * STEP for step in range(int(BACK / STEP) + 1)]
            self._counted_back(await poller.turns_at(moments, turns))
            self._counted = True


async def _stop(consumer: AIOKafkaConsumer) -> None:
    try:
        await consumer.stop()
    finally:
        await consumer._client.close()  # a stop that raises has left it open


async def _close(closing: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Close clients whose broker may be gone. aiokafka then waits, or raises what it has cancelled itself: that would
    end the console as if it were told to."""
    tasks = [asyncio.ensure_future(close()) for close in closing]
    _, late = await asyncio.wait(tasks, timeout=PATIENCE)
    for task in late:
        task.cancel()
    for error in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(error, Exception):
            log.warning("client_not_closed", error=type(error).__name__)
