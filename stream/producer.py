"""The one producer of a worker: idempotent, acks=all, and fenced per partition by the broker.

A partition that only its owner writes (the changelog, the verdicts) is written under a producer id and epoch of its
own. `fence` asks the broker for them with the transactional id `<app id>-<topic>-<partition>`, which raises the epoch:
from the new owner's first record on, the broker refuses the older owner. No transaction is ever begun; records are
plain idempotent writes.

This is the only file that touches aiokafka's internals: the batch queue (so that appending is synchronous and keeps its
order) and the transaction manager (so that a batch carries its partition's producer id). Both are read at the moment a
batch is popped from the queue (`MessageAccumulator._pop_batch`), in the order `sequence_number`, `producer_id`,
`producer_epoch`."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import ConcurrentTransactions, KafkaError, for_code
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.transaction import InitProducerIdRequest
from msgspec import Struct

from stream import connection
from stream.errors import FencedError, WriteError
from stream.settings import Settings
from stream.topics import METADATA_MS

MAX_BATCH_BYTES = 900_000
"""Of one record batch, uncompressed. The broker's default limit is 1,048,588 bytes with headers; a lone record above
this still goes in a batch of its own."""
RECORD_OVERHEAD = 80
"""Bytes that a record takes besides key, value and headers, rounded up: for planning what fits in one batch."""
_GZIP = 1  # Kafka's number of it, in the attributes of a record batch
_RETRY = 0.05
_UNBEGUN_TRANSACTION_MS = 60_000
"""InitProducerId wants a transaction time-out; no transaction is ever open, so it never runs."""


class Outgoing(Struct, frozen=True, gc=False):
    """A record to be written. `timestamp` in ms since 1970, None for now."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = []
    timestamp: int | None = None


class Written(NamedTuple):
    """What the broker acknowledged: offsets `base` to `base + count - 1` of one partition."""

    base: int
    records: int


class _PerPartition(TransactionManager):  # type: ignore[misc]  # aiokafka is untyped
    """Gives a batch the producer id of its partition, where that one is fenced, else the producer's own."""

    fenced: dict[TopicPartition, tuple[int, int]]
    _current: tuple[int, int] | None = None

    @classmethod
    def take_over(cls, manager: TransactionManager) -> "_PerPartition":
        """The producer, its sender and its queue all hold the manager: it changes its class in place."""
        manager.__class__ = cls
        taken: _PerPartition = manager
        taken.fenced = {}
        return taken

    def sequence_number(self, tp: TopicPartition) -> int:
        self._current = self.fenced.get(tp)
        number: int = super().sequence_number(tp)
        return number

    @property
    def producer_id(self) -> int:
        return (self._current or self._pid_and_epoch)[0]

    @property
    def producer_epoch(self) -> int:
        return (self._current or self._pid_and_epoch)[1]

    def renew(self, tp: TopicPartition, producer_id: int, epoch: int) -> None:
        self.fenced[tp] = (producer_id, epoch)
        self._sequence_numbers[tp] = 0


class Producer:
    """Appends record batches in order, and tells when the broker has them.

    Arguments:
        settings: where the brokers are and how to connect. Within their `write_timeout` a batch must be acknowledged;
            aiokafka retries an idempotent write for ever.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._deadline = settings.write_timeout
        self._client_id = settings.app_id
        self._unacknowledged: dict[asyncio.Future[Any], float] = {}
        self._last: dict[TopicPartition, asyncio.Future[Any]] = {}

    async def start(self, topics: Iterable[str]) -> None:
        """Connect and learn the partitions of every topic that will be written."""
        self._aio = connection.producer(
            self._settings,
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=64 << 20,
            metadata_max_age_ms=METADATA_MS,
        )
        await self._aio.start()
        self._manager = _PerPartition.take_over(self._aio._txn_manager)
        for topic in topics:
            await self._aio.client._wait_on_metadata(topic)

    async def stop(self) -> None:
        await self._aio.stop()

    async def settle(self, topic: str, partition: int, seconds: float) -> bool:
        """Wait until the broker has answered every write to a partition; False if that took longer than `seconds`."""
        last = self._last.get(TopicPartition(topic, partition))
        if last is not None and not last.done():
            await asyncio.wait([last], timeout=seconds)
        return last is None or last.done()

    async def fence(self, topic: str, partition: int) -> None:
        """Become the only writer of a partition. Nothing of ours may be unacknowledged in it. Raises WriteError when
        the broker gives no epoch in time."""
        fence = transactional_id(self._client_id, topic, partition)
        try:
            async with asyncio.timeout(self._deadline):
                producer_id, epoch = await self._new_epoch(fence)
        except TimeoutError as error:
            raise WriteError(
                f"no epoch for {fence} within {self._deadline} s: is its transaction coordinator up?"
            ) from error
        self._manager.renew(TopicPartition(topic, partition), producer_id, epoch)

    async def _new_epoch(self, fence: str) -> tuple[int, int]:
        client = self._aio.client
        while True:
            try:
                node = await client.coordinator_lookup(CoordinationType.TRANSACTION, fence)
                if await client.ready(node, group=ConnectionGroup.COORDINATION):
                    request = InitProducerIdRequest(
                        transactional_id=fence, transaction_timeout_ms=_UNBEGUN_TRANSACTION_MS
                    )
                    response = await client.send(node, request, group=ConnectionGroup.COORDINATION)
                    if not response.error_code:
                        return response.producer_id, response.producer_epoch
                    raise for_code(response.error_code)()
            except KafkaError as error:
                if not (error.retriable or isinstance(error, ConcurrentTransactions)):
                    raise
            await asyncio.sleep(_RETRY)

    def append(
        self, topic: str, partition: int, records: Sequence[Outgoing], atomic: bool = False, gzip: bool = False
    ) -> "asyncio.Future[list[Written]]":
        """Queue records for one partition, after everything queued for it before. Synchronous, so callers on one loop
        see one order.

        atomic: all in one record batch, which the broker appends whole or not at all; raises ValueError if they do not
        fit. gzip: batches are sent and kept compressed, which any reader undoes. The future fails with what the broker
        said."""
        accumulator = self._aio._message_accumulator
        tp = TopicPartition(topic, partition)
        builders = self._build(records, _gzipped if gzip else self._aio.create_batch)
        if atomic and len(builders) > 1:
            raise ValueError(f"{len(records)} records do not fit one batch of {MAX_BATCH_BYTES} bytes")
        if accumulator._exception is not None:
            raise WriteError(f"the producer failed: {accumulator._exception!r}")
        loop = asyncio.get_running_loop()
        batches = [(accumulator._append_batch(builder, tp).future, count) for builder, count in builders]
        written = _one(*batches[0]) if len(batches) == 1 else _all(batches)
        self._last[tp] = self._watch(asyncio.ensure_future(written), loop)
        return self._last[tp]

    def _watch(
        self, written: "asyncio.Task[list[Written]]", loop: asyncio.AbstractEventLoop
    ) -> "asyncio.Task[list[Written]]":
        self._unacknowledged[written] = loop.time()
        written.add_done_callback(self._unacknowledged.pop)
        return written

    def _build(self, records: Sequence[Outgoing], create: Callable[[], Any]) -> list[tuple[Any, int]]:
        """Record batches and how many records each holds. Filled below `BatchBuilder.append`, which asks the clock and
        makes a call of names for every record."""
        now, built, rest = time.time_ns() // 1_000_000, list[tuple[Any, int]](), iter(records)
        record = next(rest, None)
        while record is not None or not built:
            batch, count = create(), 0
            append = batch._builder.append
            while record is not None:
                at = now if record.timestamp is None else record.timestamp
                if append(count, at, record.key, record.value, record.headers) is None:
                    break
                count, record = count + 1, next(rest, None)
            batch._relative_offset = count
            built.append((batch, count))
        return built

    def overdue(self) -> float | None:
        """Seconds that the oldest unacknowledged write has waited beyond the deadline; None if all is well."""
        waited = self.waited()
        return waited if waited > self._deadline else None

    def waited(self) -> float:
        """Seconds that the oldest unacknowledged write has waited; 0 where there is none."""
        if not self._unacknowledged:
            return 0.0
        return asyncio.get_running_loop().time() - next(iter(self._unacknowledged.values()))

    @property
    def refreshed(self) -> float:
        """Changes when the broker has told the partitions again, which it is asked every METADATA_MS."""
        stamp: float = self._aio.client.cluster._last_successful_refresh_ms
        return stamp

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has, as last heard."""
        return len(self._aio.client.cluster.partitions_for_topic(topic) or ())


def transactional_id(app_id: str, topic: str, partition: int) -> str:
    """The name under which the broker counts the owners of a partition."""
    return f"{app_id}-{topic}-{partition}"


def _gzipped() -> BatchBuilder:
    """As `create_batch` makes them for a producer whose every batch is compressed."""
    return BatchBuilder(MAX_BATCH_BYTES, _GZIP)


async def _one(future: "asyncio.Future[Any]", count: int) -> list[Written]:
    return [Written((await future).offset, count)]


async def _all(batches: list[tuple["asyncio.Future[Any]", int]]) -> list[Written]:
    """Every future is awaited, so that none fails unseen."""
    await asyncio.wait([future for future, _ in batches])
    return [Written(future.result().offset, count) for future, count in batches]


def fenced(error: BaseException, topic: str, partition: int) -> FencedError:
    return FencedError(f"the broker refused a write to {topic}[{partition}] ({error!r}): another worker owns it now")
