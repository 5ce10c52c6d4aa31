"""Faust's consumer with three changes: a fetched batch of a partition is one event, the offsets are kept by `Intake`,
and the holes around a rebalance are closed.

One event a record costs two tasks and a wait in Faust; one event a batch is ten times as fast. The agent gets a `Batch`
as the event's value."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from aiokafka.protocol.group import LeaveGroupRequest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.queues import FlowControlEvent

from stream import parsing
from stream.intake import Intake, Order

PATIENCE = 1.0
"""Seconds that one fetch waits for records."""
FULL_PATIENCE = 0.01
"""The same while an agent's buffer is full: its partitions are not fetched, so a long wait would outlast the emptying
of the buffer and leave the agent without work (a third of its time, measured)."""
FETCH_WAIT_MS = 100
"""Milliseconds that the broker holds a fetch for which it has nothing. aiokafka has one fetch at a time under way to a
broker, and leaves out of it the partitions whose last records were not taken within 0.1 s, because a buffer is full or
the processor busy: whatever comes for these waits until that fetch ends. At Faust's 1,500 turns waited so long now and
then, and always after a rebalance, whose first fetch is of the idle labels alone."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The records (aiokafka ConsumerRecord) of one fetch of one partition, in offset order. `seeks`: how often the
    intake had been sought when the fetch began."""

    tp: TP
    generation: int
    seeks: int
    records: list[Any]


class _NeverFalse(set[TP]):
    """aiokafka reads an empty set of partitions as all of them: with every input paused, records were fetched and
    dropped."""

    def __bool__(self) -> bool:
        return True


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Connects as every client of ours does, reads no changelog, and stops also when its broker is gone."""

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> AIOKafkaConsumer:
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # read when it starts; Faust has no setting for it
        app: Any = self.app
        app.secure(consumer._client)
        return consumer

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The changelog is assigned, too, and nobody takes its records here: a fetch of them would delay the first
        turns, and stay in memory."""
        consumer: Any = self.consumer
        unread = [TopicPartition(tp.topic, tp.partition) for tp in assigned if tp.topic not in consumer.inputs]
        self._ensure_consumer().pause(*unread)
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_thread_stop(self) -> None:
        """aiokafka cancels a fetch that waits for a broker that is gone, and raises what comes of it; the thread would
        die of it, and whoever stops it wait for ever."""
        with suppress(asyncio.CancelledError):
            await super().on_thread_stop()


class BatchConsumer(driver.Consumer):
    """Delivers the topics in `inputs` in batches. The changelog is assigned too, but never read here: recovery has a
    consumer of its own."""

    inputs: frozenset[str] = frozenset()
    before_revocation: Callable[[], Awaitable[None]]
    replaced: Callable[[], None]
    _member = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        parsing.install()
        self.intakes: dict[TP, Intake] = {}
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _reset_state(self) -> None:
        super()._reset_state()
        self._active_partitions = _NeverFalse()

    # -- offsets: what an intake calls done is committed; Faust's acks are not (it acks what it skips)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(list(self.intakes))

    def _new_offset(self, tp: TP) -> int | None:
        intake = self.intakes.get(tp)
        return intake.done if intake is not None and intake.generation == self.app.consumer_generation_id else None

    async def begin(self, generation: int) -> None:
        """Seek every input to its committed offset (the earliest where nothing is committed) and expect it from there.
        Called while the inputs are still paused."""
        tps = {tp for tp in self.assignment() if tp.topic in self.inputs}
        committed = await self.committed_offsets(tps)
        earliest = await self.earliest_offsets(*tps) if tps else {}
        start = {tp: max(committed.get(tp) or 0, earliest[tp]) for tp in tps}
        try:
            await self.seek_wait(start)
        except IllegalStateError:  # a newer assignment has come; its own `begin` seeks
            return
        if generation == self.app.consumer_generation_id:
            self._committed_offset.update({tp: offset for tp, offset in committed.items() if offset is not None})
            self.intakes = {tp: Intake.at(generation, offset) for tp, offset in start.items()}

    async def committed_offsets(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """The group's committed offset of each partition, None where there is none."""
        consumer = self._thread._ensure_consumer()

        async def read() -> dict[TP, int | None]:
            return {tp: await consumer.committed(TopicPartition(tp.topic, tp.partition)) for tp in tps}

        offsets: dict[TP, int | None] = await self._thread.call_thread(read)
        return offsets

    async def perform_seek(self) -> None:
        """`begin` has done it. Faust's own comes when the inputs flow already and would move them back."""

    # -- membership

    @property
    def is_static(self) -> bool:
        """Expected back under its name: the group waits for it the session time-out long."""
        return self.app.conf.consumer_group_instance_id is not None

    def leave(self, seconds: float) -> None:
        """For a process about to end: leave the group at once, from whatever it is doing; a static member stays. Blocks
        for at most `seconds`; without an answer the others take over after the session time-out.

        By a connection of its own: the broker answers nothing behind a request to join, which waits for others."""
        consumer: Any = self._thread._consumer
        coordinator: Any = consumer._coordinator if consumer is not None else None
        node, loop = getattr(coordinator, "coordinator_id", None), self._thread.thread_loop
        if self.is_static or node is None or not coordinator.member_id or not loop.is_running():
            return
        request = LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
        sent = consumer._client.send(node, request, group=ConnectionGroup.DEFAULT)
        try:
            asyncio.run_coroutine_threadsafe(sent, loop).result(seconds)
        except (KafkaError, TimeoutError) as error:
            self.log.warning("the group was not left (%r): others wait for the session time-out", error)

    def _check_member(self) -> None:
        """In a rebalance: the broker has forgotten a static member that it knew when another process came under its
        name, or when it was away past the session time-out."""
        member = self._thread._ensure_consumer()._coordinator.member_id
        if self.is_static and self._member not in ("", member):
            self.replaced()
        self._member = member

    # -- growth

    def assigned_partitions(self) -> int:
        """How many the leader has given to the workers of the group."""
        assignor: Any = self.app.assignor
        assigned: int = assignor.assigned_partitions()
        return assigned

    def whole_partitions(self) -> int:
        """How many there are in every topic, as this consumer has last heard."""
        cluster = self._thread._ensure_consumer()._client.cluster
        topics = (*self.inputs, *self.app.tables.changelog_topics)
        return min(len(cluster.partitions_for_topic(topic) or ()) for topic in topics)

    def ask_for_a_rebalance(self) -> None:
        """For the group's leader; of others the broker takes no notice."""
        coordinator = self._thread._ensure_consumer()._coordinator
        self._thread.thread_loop.call_soon_threadsafe(coordinator.request_rejoin)

    # -- rebalance

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._paused_partitions.update(assigned)  # Faust has them active from here until recovery ends
        self._check_member()
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._check_member()  # before it joins again, and so takes the name back
        await self.before_revocation()
        await self.commit()
        self.intakes = {}
        await super().on_partitions_revoked(revoked)

    # -- delivery

    def take(self, batch: Batch) -> list[Any]:
        """The records of this batch to process now: none if the group has moved on, or if records before it are missing
        (then they are read again)."""
        intake = self.intakes.get(batch.tp)
        if (
            intake is None
            or intake.generation != batch.generation
            or batch.generation != self.app.consumer_generation_id
        ):
            return []
        first, last = batch.records[0].offset, batch.records[-1].offset
        order = intake.take(first, last, batch.seeks)
        if order is Order.SEEK_BACK:
            self._seek_back(batch.tp, intake)
        if order is not Order.TAKE:
            return []
        records = batch.records if first >= intake.next else [r for r in batch.records if r.offset >= intake.next]
        intake.taken(last)
        return records

    def mend_holes(self) -> int:
        """For a timer, when the worker is idle: read again what was delivered and never arrived. Returns the number of
        partitions sought."""
        stuck = [(tp, intake) for tp, intake in self.intakes.items() if intake.is_hole_at_rest()]
        for tp, intake in stuck:
            self._seek_back(tp, intake)
        return len(stuck)

    def _seek_back(self, tp: TP, intake: Intake) -> None:
        offset = intake.seek_begins()
        self.log.warning(
            "records of %s[%s] from offset %s did not arrive: they are read again", tp.topic, tp.partition, offset
        )
        self.add_future(self._sought(tp, intake, offset))

    async def _sought(self, tp: TP, intake: Intake, offset: int) -> None:
        if self.intakes.get(tp) is intake:
            with suppress(IllegalStateError):  # taken away meanwhile: whoever owns it next reads them
                await self.seek_wait({tp: offset})
                intake.seek_done()

    def end_of(self, tp: TP) -> int:
        """Where a partition ends, as last heard; 0 while it is being taken away, which the consumer's own thread learns
        before `intakes` does."""
        try:
            return int(self.highwater(tp) or 0)
        except AssertionError:  # aiokafka's "Partition is not assigned"
            return 0

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self.sleep(0)
                seeks = {tp: intake.seeks for tp, intake in self.intakes.items() if not intake.seeking}
                patience = FULL_PATIENCE if self._buffered_partitions else PATIENCE
                records, active = await self._wait_next_records(patience)
                if records and self.flow_active:
                    wanted = {
                        tp: r
                        for tp, r in records.items()
                        if r and (active is None or tp in active or tp in self._buffered_partitions)
                    }
                    await self.wait_first(self._deliver(wanted, seeks), self.suspend_flow.wait())
        except (asyncio.CancelledError, ConsumerStoppedError):
            if not self.transport.app.should_stop:
                raise

    async def _deliver(self, records: dict[TP, list[Any]], seeks: dict[TP, int]) -> None:
        generation = self.app.consumer_generation_id
        for tp, batch in records.items():
            intake = self.intakes.get(tp)
            if not self.flow_active or generation != self.app.consumer_generation_id:
                return
            if intake is None or intake.generation != generation:
                continue  # fetched before this generation's seek: it comes again
            message = self._to_message(tp, batch[-1])
            carried: Any = Batch(tp, generation, seeks.get(tp, -1), batch)  # bytes to Faust, which only passes it on
            message.key, message.value = None, carried
            intake.deliver(batch[0].offset, batch[-1].offset, seeks.get(tp, -1), batch[0].timestamp)
            conductor: Any = self.app.topics
            await conductor._tp_to_callback[tp](message)


class FaustProducer(driver.Producer):
    """Sends nothing: Faust starts one all the same, and it connects as every client of ours does."""

    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        producer = super()._new_producer(transactional_id)
        app: Any = self.app
        app.secure(producer.client)
        return producer


class Transport(driver.Transport):
    Consumer = BatchConsumer
    Producer = FaustProducer


class ResumeOnce(FlowControlEvent):
    """Faust resumes the flow twice in a rebalance, and each time empties every queue: what was delivered in between was
    gone."""

    def resume(self) -> None:
        if not self.is_active():
            super().resume()
