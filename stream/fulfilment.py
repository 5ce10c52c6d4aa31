"""Carries out what operators ask in `requests.v1`: every worker in the partitions that it owns.

A request is a rule from the moment at which it is read, for labels and turns that come; and what a partition stored
before is brought in line with it once. A record in the state says up to where that is done (`state.Reckoning`), so a
new owner does it again only if it was interrupted. Before a worker begins with a partition it reads the topic to its
end: no older owner has carried out a request that it does not know."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog
from msgspec.structs import replace

from stream import state
from stream.apart import apart
from stream.codecs import encode
from stream.counting import Countings
from stream.erasure import Eraser
from stream.following import existing, follow
from stream.ownership import Ownership
from stream.partitions import Partition
from stream.producer import Outgoing, Producer
from stream.projection import Projection
from stream.records import Fulfilment
from stream.recount import Recount
from stream.requests import fulfilment_key
from stream.settings import Settings
from stream.standbys import Standbys
from stream.stores import Stores
from stream.topics import TopicNames

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""Between two looks at which partitions are owned, and at what could not be carried out yet."""
UNTOUCHED: Final = state.Reckoning(state.SCHEMA_VERSION, {}, b"")
"""Of a partition that no request has reached."""
TEXTS: Final = (state.CONVERSATION, state.EARLY)
"""Under these prefixes records hold texts."""
ANSWERS: Final = 0
"""The partition of the topic in which fulfilments stand: of one key, all in one."""


class Fulfiller:
    """Between the topic and the partitions that are owned now."""

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        ownership: Ownership,
        countings: Countings,
        projection: Projection,
        stores: Stores,
        standbys: Standbys,
        eraser: Eraser,
    ) -> None:
        self._settings = settings
        self._topic = TopicNames.of(settings).requests
        self._producer = producer
        self._ownership = ownership
        self._countings = countings
        self._requests = countings.requests
        self._projection = projection
        self._stores = stores
        self._standbys = standbys
        self._eraser = eraser
        self._limits = countings.limits_digest()
        self._aligned: dict[int, tuple[Partition, int]] = {}
        self._dropped = b""
        self._news = asyncio.Event()

    async def prepare(self) -> None:
        """Before the first input of a generation: read the topic up to where it ends now. Raises TopicsError or
        BrokerError, one line."""
        async for records in existing(self._settings, self._topic):
            self.hear(records)
        await self.mark()

    async def mark(self) -> None:
        """Where annotators are about to be trusted otherwise than before, say so before a label is counted: a worker
        that trusts them as before and goes on after a crash must count again, too."""
        for partition in self._ownership.partitions.values():
            before = _reckoning_of(partition)
            if before.limits not in (self._limits, state.UNFINISHED):
                unfinished = replace(before, limits=state.UNFINISHED)
                await partition.write({state.RECKONING: state.encode(unfinished)})

    async def read(self) -> None:
        """For ever: hear what comes."""
        async for records in follow(self._settings, self._topic, from_beginning=True):
            self.hear(records)

    def hear(self, records: list[Any]) -> None:
        """Records of the topic, read for the first time or again: they are followed from now on."""
        before = self._requests.version
        self._requests.learn(records)
        if self._requests.unreadable:
            log.warning("requests_unreadable", records=self._requests.unreadable, topic=self._topic)
            self._requests.unreadable = 0
        if self._requests.version != before:
            self._news.set()

    async def run(self) -> None:
        """For ever: bring the partitions that are owned in line with what was asked."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            await self.look()

    async def look(self) -> None:
        """Once."""
        if not self._ownership.generation:
            return
        await self._drop_folders()
        await self._purge_standbys()
        for partition in list(self._ownership.partitions.values()):
            version = self._requests.version
            if self._aligned.get(partition.number) != (partition, version) and await self._align(partition):
                self._aligned[partition.number] = (partition, version)

    @property
    def is_aligned(self) -> bool:
        """Whether all that was heard is carried out in every partition that is owned."""
        version, owned = self._requests.version, self._ownership.partitions
        return all(self._aligned.get(number) == (partition, version) for number, partition in owned.items())

    async def _drop_folders(self) -> None:
        """Of partitions that live elsewhere now: their owners erase what was to go, but not from this disk."""
        mark = self._requests.newest_erasure()
        if mark and mark != self._dropped:
            opened = {*self._ownership.partitions, *self._standbys.stores}
            dropped = self._stores.drop_unpurged(opened, mark)
            if dropped:
                log.info("state_folders_deleted", folders=dropped, reason="they may hold what was to be forgotten")
            self._dropped = mark

    async def _purge_standbys(self) -> None:
        """Once the owner's deletions have come to a standby: its reckoning stands behind them in the changelog."""
        mark = self._requests.newest_erasure()
        for number, store in list(self._standbys.stores.items()) if mark else ():
            through = _reckoning_in(store.get(state.RECKONING)).through
            done = all(through.get(place, -1) >= offset for place, offset in self._requests.through.items())
            if done and store.purged != mark:
                await apart(partial(store.purge, TEXTS, mark), f"purge-{number}")

    async def _align(self, partition: Partition) -> bool:
        """Bring one partition in line; False when it must be tried again."""
        generation, started = partition.generation, time.monotonic()

        def is_ours() -> bool:
            return self._ownership.owner_of(partition.number, generation) is partition

        requests, before = self._requests, _reckoning_of(partition)
        through, mark = {**before.through, **requests.through}, requests.newest_erasure()
        after = state.Reckoning(state.SCHEMA_VERSION, through, self._limits)
        erasures = requests.erasures_after(before.through)
        counts: dict[bytes, int] = {}
        if not is_ours():
            return False
        if before.limits != after.limits or requests.revocations_after(before.through):
            found = await self._recount(partition, is_ours)
            if found is None:
                return False
            counts |= found
        if erasures:
            erased = await self._eraser.erase(partition, erasures, is_ours)
            if erased is None:
                return False
            counts |= erased
        if mark and partition.store.purged != mark:
            await apart(lambda: partition.store.purge(TEXTS, mark), f"purge-{partition.number}")
        if not is_ours():
            return False
        if after != before:
            await partition.write({state.RECKONING: state.encode(after)})
        answer = Fulfilment(
            partition.number, through, {key.decode(): count for key, count in counts.items()}, datetime.now(UTC),
            self._limits.hex(),
        )  # fmt: skip
        if self._is_news(answer) and not await self._answer(partition, answer, is_ours):
            return False
        if after != before:
            seconds = round(time.monotonic() - started, 3)
            log.info("requests_fulfilled", partition=partition.number, records=sum(counts.values()), seconds=seconds)
        return True

    async def _recount(self, partition: Partition, is_ours: Any) -> dict[bytes, int] | None:
        """Votes set aside by each revocation; None when it must be tried again."""
        if not await partition.settle(self._settings.write_timeout) or not is_ours():
            return None  # a vote on its way was counted by what was known before
        counting = Recount(partition, self._countings, is_ours)
        whole = await counting.run()
        self._projection.touch(partition, counting.touched)
        log.info("votes_recounted", partition=partition.number, turns=counting.turns, complete=whole)
        return dict(counting.revoked) if whole else None

    def _is_news(self, answer: Fulfilment) -> bool:
        """Whether the topic does not say so already. One that has never answered, and of which nothing was asked, need
        not begin to."""
        said = self._requests.fulfilled.get(answer.partition)
        if said is None:
            return bool(answer.through or answer.limits)
        return bool(answer.counts) or (said.through, said.limits) != (answer.through, answer.limits)

    async def _answer(self, partition: Partition, answer: Fulfilment, is_ours: Callable[[], bool]) -> bool:
        """Say what is done, behind the moments that came of it; False when the partition was given back meanwhile, and
        they may not have been published."""
        self._projection.hasten(partition)
        await self._projection.flush()
        if not is_ours():
            return False
        key = fulfilment_key(partition.number)
        await self._producer.append(self._topic, ANSWERS, [Outgoing(key, encode(answer))])
        return True


def _reckoning_of(partition: Partition) -> state.Reckoning:
    return _reckoning_in(partition.get(state.RECKONING))


def _reckoning_in(stored: bytes | None) -> state.Reckoning:
    return UNTOUCHED if stored is None else state.decode_reckoning(stored)
