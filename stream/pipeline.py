"""From an agent's batches to durable effects, in order, with several batches in flight.

`begin` reads state and queues writes; what it returns is awaited by a second task, one after the other, while the next
slices begin. The order matters: a turn that comes twice finds the pending record of its first coming before that is
acknowledged, and its verdict must not be sent before the first one's. Offsets move only when that has ended. After a
crash everything not committed is read again, and every effect is idempotent.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError, ProducerFenced

from stream.consumer import Batch, BatchConsumer
from stream.errors import FencedError, PipelineError, StreamError, WriteError
from stream.intake import Intake
from stream.ownership import Ownership
from stream.partitions import Fatal, Partition
from stream.refusals import allowed

BATCHES_QUEUED = 16
"""Fetched batches that wait here; beyond that the agent waits, Faust's buffer fills, and fetching pauses."""
IN_FLIGHT = 4
"""Slices whose writes are not acknowledged yet: more than one hides the broker's round trip, many only add latency and
memory."""


class Overtaken(Exception):
    """The group has moved on: the work is dropped, and its records are read again by whoever owns them now."""


@dataclass(slots=True)
class Slice:
    """Consecutive records (aiokafka ConsumerRecord) of one partition that are processed together."""

    partition: Partition
    generation: int
    intake: Intake
    records: list[Any]

    def check(self) -> None:
        """Right before anything is sent. Raises Overtaken if the partition is no longer ours in the generation in which
        the records came."""
        if self.partition.generation != self.generation:
            raise Overtaken


class Begun(NamedTuple):
    slices: list[Slice]
    end: "End"


End = Callable[[], Awaitable[None]]
Begin = Callable[[list[Slice]], Awaitable[End]]
"""What it does not take yet it leaves out of a slice's `records`, from some record on; that comes again."""


class Pipeline:
    """One agent's work. `limit` gives the number of records to process together, asked anew each time."""

    def __init__(self, name: str, ownership: Ownership, begin: Begin, limit: Callable[[], int], fatal: Fatal) -> None:
        self.name = name
        self._ownership = ownership
        self._begin = begin
        self._limit = limit
        self._fatal = fatal
        self._consumer: BatchConsumer | None = None
        self._queue: asyncio.Queue[Batch] = asyncio.Queue(BATCHES_QUEUED)
        self._begun: asyncio.Queue[Begun] = asyncio.Queue(IN_FLIGHT)
        self._rest: deque[Slice] = deque()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, consumer: BatchConsumer) -> None:
        self._consumer = consumer
        self._tasks = [
            asyncio.create_task(self._guard(part()), name=f"{self.name}.{part.__name__}")
            for part in (self._beginning, self._ending)
        ]

    async def put(self, batch: Batch) -> None:
        """Waits while enough is queued: overload makes lag, never loss."""
        await self._queue.put(batch)

    @property
    def at_rest(self) -> bool:
        """Nothing queued and nothing in flight."""
        return self._queue.empty() and not self._rest and not self._busy

    async def drain(self, deadline: float) -> bool:
        """Wait until everything begun has ended; ownership must have been released, so that nothing new begins. False
        if `deadline` seconds were not enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                await self._idle.wait()
        return self._idle.is_set()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _guard(self, work: Awaitable[None]) -> None:
        """A pipeline that raises has a bug or a lost broker: the worker ends, since a dead task would hang every
        partition silently."""
        try:
            await work
        except StreamError as error:
            self._fatal(error)
            raise
        except ProducerFenced as error:
            self._fatal(FencedError(f"the broker refused a verdict ({error!r}): another worker owns its partition now"))
            raise
        except KafkaError as error:
            refused = f"the broker refused a record of the {self.name} pipeline ({error!r})"
            self._fatal(WriteError(f"{refused}{allowed(error)}"))
            raise
        except Exception as error:
            self._fatal(PipelineError(f"the {self.name} pipeline failed: {type(error).__name__} at {where(error)}"))
            raise

    async def _beginning(self) -> None:
        while True:
            slices = await self._next_slices()
            if slices:
                whole = [part.records for part in slices]
                self._enter()
                try:
                    end = await self._begin(slices)
                except Overtaken:
                    self._leave()
                else:
                    self._put_back(slices, whole)
                    await self._begun.put(Begun([part for part in slices if part.records], end))

    async def _ending(self) -> None:
        while True:
            begun = await self._begun.get()
            with suppress(Overtaken):
                await begun.end()
                for part in begun.slices:
                    part.intake.processed(part.records[-1].offset, part.records[-1].timestamp)
            self._leave()

    def _enter(self) -> None:
        self._busy += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    def _put_back(self, slices: list[Slice], whole: list[list[Any]]) -> None:
        """What was not begun comes first the next time."""
        left = [
            replace(part, records=records[len(part.records) :])
            for part, records in zip(slices, whole, strict=True)
            if len(part.records) < len(records)
        ]
        self._rest.extendleft(reversed(left))

    async def _next_slices(self) -> list[Slice]:
        """Up to `limit` records over all partitions that have some waiting."""
        limit, slices = self._limit(), list[Slice]()
        if not self._rest:
            self._accept(await self._queue.get())
        while limit > 0 and (self._rest or not self._queue.empty()):
            if not self._rest:
                self._accept(self._queue.get_nowait())
                continue
            part = self._rest.popleft()
            if part.generation == self._ownership.generation:
                head, rest = _split(part, limit)
                slices.append(head)
                limit -= len(head.records)
                self._rest.extendleft(rest)
        return slices

    def _accept(self, batch: Batch) -> None:
        """Its records to take now wait for their turn."""
        assert self._consumer is not None
        partition = self._ownership.owner_of(batch.tp.partition, batch.generation)
        records = self._consumer.take(batch) if partition is not None else []
        if partition is not None and records:
            self._rest.append(Slice(partition, batch.generation, self._consumer.intakes[batch.tp], records))


def _split(part: Slice, limit: int) -> tuple[Slice, list[Slice]]:
    """The first `limit` records, and the others if there are any."""
    if len(part.records) <= limit:
        return part, []
    return replace(part, records=part.records[:limit]), [replace(part, records=part.records[limit:])]


def where(error: BaseException) -> str:
    """File and line of the raise: an exception's own text may quote a message, and no text goes into a log."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace is not None else "unknown"
    )
