"""Which partitions this worker owns: claimed before recovery, restored, and only then worked on.

A generation of the group goes through three steps. `claim` (inside the rebalance, before anything is read) raises the
broker's epoch of each partition and writes a claim record; `restore` reads the changelog up to that record, so that
nothing of an older owner can come behind it; `begin` seeks the inputs and declares the partitions ready."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from stream import state
from stream.errors import OffsetsMissingError, StreamError, WriteError
from stream.health import RECOVERING
from stream.partitions import Fatal, Partition
from stream.producer import Outgoing, Producer
from stream.recovery import Recovery
from stream.refusals import allowed
from stream.rocks import EMPTY
from stream.settings import Settings
from stream.standbys import Standbys
from stream.stores import PartitionStore
from stream.topics import TopicNames

log = structlog.get_logger()

SETTLE_SHARE = 0.2
"""Of the session time-out, for a write that a background task began just before the rebalance."""


class Inputs(Protocol):
    """What ownership needs of the consumer."""

    async def begin(self, generation: int) -> None: ...
    async def committed_offsets(self, tps: Any) -> dict[TP, int | None]: ...
    async def highwaters(self, *tps: TP) -> Any: ...
    async def commit(self) -> bool: ...


class Ownership:
    """The partitions of this worker by number; `generation` is the one whose inputs may be worked on, 0 in between."""

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        open_store: Callable[[int], PartitionStore],
        fatal: Fatal,
        prepare: Callable[[], Awaitable[None]],
        standbys: Standbys,
    ) -> None:
        """`prepare` is awaited after recovery, before any input is worked on."""
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._producer = producer
        self._open_store = open_store
        self._fatal = fatal
        self._prepare = prepare
        self._standbys = standbys
        self.recovery = Recovery(settings, self._names.changelog)
        self.partitions: dict[int, Partition] = {}
        self.generation = 0
        self.claimed = 0

    def owner_of(self, number: int, generation: int) -> Partition | None:
        """The partition, if work on it may begin in this generation of the group."""
        return self.partitions.get(number) if generation == self.generation else None

    @property
    def claim_value(self) -> bytes:
        """Of the record that says whose a partition is."""
        return state.claim_value(self._producer.partitions(self._names.changelog))

    def trouble(self) -> str | None:
        """Why nothing is worked on now, with how far the recovery is; None when something is."""
        if self.generation:
            return None
        return str(self.recovery.progress or RECOVERING)

    def last_offset(self, number: int) -> int:
        """What Faust is told of the store: the claim, which is the last record, so that it reads nothing itself."""
        partition = self.partitions.get(number)
        return partition.next_offset - 1 if partition is not None else EMPTY

    def release(self) -> None:
        """Begin nothing more: the group is about to change. What has begun may end until the next claim."""
        self.generation = 0

    async def claim(self, assigned: set[TP], actives: set[TP], standbys: set[TP], generation: int) -> None:
        """Take the partitions whose changelog is active here and all of whose inputs are assigned; give back the
        others, or keep them as the standbys that they are to be."""
        self.release()
        self.claimed = 0
        for partition in self.partitions.values():
            partition.generation = 0
        mine = {tp.partition for tp in actives if tp.topic == self._names.changelog}
        whole = {n for n in mine if {TP(self._names.turns, n), TP(self._names.labels, n)} <= assigned}
        if mine != whole:
            log.warning("partitions_incomplete", partitions=sorted(mine - whole), remedy="aegis topics check")
        followed = {tp.partition for tp in standbys if tp.topic == self._names.changelog} - whole
        try:
            self._exchange(whole, followed)
            await asyncio.gather(*(self._claim(partition) for partition in self.partitions.values()))
        except StreamError as error:
            self._fatal(error)
            raise
        except KafkaError as error:
            failure = WriteError(f"the partitions could not be claimed ({error!r}){allowed(error)}")
            self._fatal(failure)
            raise failure from error
        self.claimed = generation

    def _exchange(self, owned: set[int], followed: set[int]) -> None:
        """Stores change hands without an await, so that no two tasks ever have one."""
        left = {number: self.partitions.pop(number).detach() for number in set(self.partitions) - owned}
        for number in left.keys() - followed:
            left.pop(number).close()
        for number in owned - set(self.partitions):
            store = self._standbys.take(number) or self._open_store(number)
            sums = self._settings.cache_bytes // 4 // max(1, self._producer.partitions(self._names.changelog))
            self.partitions[number] = Partition(number, self._names.changelog, store, self._producer, self._fatal, sums)
        self._standbys.follow(followed, left)

    async def _claim(self, partition: Partition) -> None:
        if not await partition.settle(self._settings.session_timeout * SETTLE_SHARE):
            raise WriteError(
                f"partition {partition.number} was reassigned while records were not acknowledged:"
                " this worker ends and reads them again"
            )
        if partition.number == 0:  # with it goes what one worker records for all, in moments.v1[0]
            await self._fence_records()
        await self._producer.fence(self._names.changelog, partition.number)
        await self._producer.fence(self._names.verdicts, partition.number)
        claim = Outgoing(state.CLAIM, self.claim_value)
        [(base, _)] = await self._producer.append(self._names.changelog, partition.number, [claim])
        partition.next_offset = base + 1

    async def _fence_records(self) -> None:
        if not await self._producer.settle(self._names.moments, 0, self._settings.session_timeout * SETTLE_SHARE):
            raise WriteError(
                f"{self._names.moments}[0] was reassigned while records were not acknowledged: this worker ends and"
                " reads them again"
            )
        await self._producer.fence(self._names.moments, 0)

    async def restore(self, generation: int) -> None:
        """Read each changelog from where its store stands up to the claim.

        What was applied stays when a newer assignment overtakes this."""
        spans = {number: span for number, partition in self.partitions.items() if (span := _missing(partition))}
        loop = asyncio.get_running_loop()
        started = loop.time()
        log.info("recovery_started", generation=generation, offsets=sum(end - start for start, end in spans.values()))
        stores = {number: partition.store for number, partition in self.partitions.items()}
        records = await self.recovery.run(stores, spans, lambda: self.claimed != generation)
        if self.claimed != generation:
            return
        for partition in self.partitions.values():
            partition.store.apply((), partition.next_offset - 1)
            partition.rebuild()
        seconds = self.recovery.seconds = loop.time() - started
        log.info("recovery_ended", generation=generation, records=records, seconds=round(seconds, 3))

    async def begin(self, inputs: Inputs, generation: int) -> bool:
        """Seek the inputs and declare the partitions ready. False when a newer assignment has overtaken this one."""
        await self._prepare()
        if generation != self.claimed:
            return False
        await self._refuse_missing_offsets(inputs, generation)
        if generation != self.claimed:
            return False
        await inputs.begin(generation)
        if generation != self.claimed:
            return False
        await inputs.commit()  # so that state never exists without committed offsets
        if generation != self.claimed:
            return False
        for partition in self.partitions.values():
            partition.generation = generation
        self.generation = generation
        log.info("worker_ready", generation=generation, partitions=sorted(self.partitions))
        return True

    async def _refuse_missing_offsets(self, inputs: Inputs, generation: int) -> None:
        tps = [TP(topic, n) for n in self.partitions for topic in (self._names.turns, self._names.labels)]
        committed = await inputs.committed_offsets(tps)
        ends = await inputs.highwaters(*tps) if tps else {}
        if generation != self.claimed:  # a newer assignment has taken partitions meanwhile
            return
        for tp in tps:
            offset = committed[tp]
            if offset is None and self.partitions[tp.partition].has_state():
                raise _choose_offsets(tp, "no committed offset, but its state is not empty: the group expired")
            if offset is not None and offset > ends[tp]:
                raise _choose_offsets(tp, f"committed offset {offset}, but ends at {ends[tp]}: the topic was made anew")

    def close(self) -> None:
        for partition in self.partitions.values():
            partition.close()
        self.partitions.clear()
        self._standbys.close()


def _choose_offsets(tp: TP, what: str) -> OffsetsMissingError:
    remedy = "choose where to go on with `aegis topics seek --to earliest|latest`"
    return OffsetsMissingError(f"{tp.topic}[{tp.partition}] has {what}; {remedy}")


def _missing(partition: Partition) -> tuple[int, int] | None:
    """The changelog offsets that a store has not seen yet, None when that is the claim alone."""
    store, claim = partition.store, partition.next_offset - 1
    if store.offset > claim:
        reason = "ahead of its changelog: the topic was made anew"
        log.warning("state_discarded", partition=partition.number, reason=reason)
        store.clear()
    return (store.offset + 1, claim) if store.offset + 1 < claim else None
