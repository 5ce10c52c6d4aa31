"""A whole flow of one partition without a broker, a clock or a fetcher: topics are lists, and a crash is an input.

What was appended waits until `deliver` takes it into its topic, in order within a topic. A crash takes any prefix of
what waits and drops the rest, as a broker would have it; the next worker recovers from the changelog and reads on from
the commits.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from experts.executor import Panel
from stream import state
from stream.codecs import encode
from stream.counting import Countings
from stream.dead_letters import DeadLetters
from stream.early import send_again
from stream.erasure import Eraser
from stream.errors import StreamError
from stream.fulfilment import Fulfiller
from stream.intake import Intake
from stream.learn import Learner
from stream.metrics import Metrics
from stream.partitions import Partition, apply_changelog
from stream.pipeline import End, Overtaken, Slice
from stream.policies import Policies
from stream.producer import Outgoing, Written
from stream.projection import Projection
from stream.records import Erasure, Revocation
from stream.requests import erasure_key, revocation_key
from stream.roster import Roster
from stream.score import Scorer
from stream.settings import Settings
from stream.stores import MemoryStore
from stream.topics import TopicNames
from stream.view import MergedView


@dataclass(frozen=True)
class Read:
    """A record as a consumer gives it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int


@dataclass
class World:
    """Topics, commits, and the worker that is alive now."""

    seed: int
    panel: Panel
    settings: Settings = field(default_factory=Settings.load)
    logs: dict[str, list[Read]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    now: int = 1_000_000
    errors: list[StreamError] = field(default_factory=list)
    crashes: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.looking: asyncio.Future[None] | None = None
        self.names = TopicNames.of(self.settings)
        self.begin_worker()

    # -- the producer's side

    def append(
        self, topic: str, partition: int, records: list[Outgoing], atomic: bool = False, gzip: bool = False
    ) -> asyncio.Future[list[Written]]:
        answer: asyncio.Future[list[Written]] = asyncio.get_event_loop().create_future()
        self.waiting[topic].append((list(records), answer))
        return answer

    def partitions(self, topic: str) -> int:
        return 1

    def publish(self, topic: str, record: Outgoing) -> None:
        """What somebody else produces."""
        log = self.logs[topic]
        stamp = record.timestamp or self.now
        log.append(Read(topic, 0, len(log), record.key, record.value, tuple(record.headers), stamp))

    async def deliver(self, topic: str) -> None:
        records, answer = self.waiting[topic].popleft()
        base = len(self.logs[topic])
        for record in records:
            self.publish(topic, record)
        answer.set_result([Written(base, len(records))])
        await settle()

    def ask(self, request: Revocation | Erasure) -> None:
        """What an operator asks."""
        key = revocation_key(request) if isinstance(request, Revocation) else erasure_key(request)
        self.publish(self.names.requests, Outgoing(key, encode(request)))

    # -- the worker

    def hear(self) -> None:
        """Read the requests so far."""
        self.fulfiller.hear(list(self.logs[self.names.requests]))

    async def look(self) -> None:
        """Begin to carry out what was heard, unless that has begun; it ends when its writes are delivered."""
        if self.looking is None or self.looking.done():
            if self.looking is not None:
                self.looking.result()
            self.looking = asyncio.ensure_future(self.fulfiller.look())
        await settle()

    def begin_worker(self) -> None:
        """Claim, recover, seek."""
        self.waiting: dict[str, deque[tuple[list[Outgoing], asyncio.Future[list[Written]]]]] = defaultdict(deque)
        self.tasks: list[tuple[asyncio.Future[Any], list[Slice]]] = []
        self.last: dict[str, asyncio.Future[Any]] = {}
        self.publish(self.names.changelog, Outgoing(state.CLAIM, b""))
        store = MemoryStore()
        apply_changelog(store, self.logs[self.names.changelog])
        producer: Any = self
        self.partition = Partition(0, self.names.changelog, store, producer, self.errors.append)
        self.partition.next_offset = len(self.logs[self.names.changelog])
        self.partition.generation = self.crashes + 1
        self.partition.rebuild()
        generation = self.partition.generation
        ownership: Any = SimpleNamespace(
            partitions={0: self.partition}, generation=generation, owner_of=lambda _, g: {generation: self.partition}[g]
        )
        self.intakes = {
            t: Intake.at(self.crashes + 1, self.committed[t]) for t in (self.names.turns, self.names.labels)
        }
        view, metrics, clock = MergedView(self.settings), Metrics(), lambda: self.now
        view.partition_counts = [1]
        letters = DeadLetters(producer, self.names.dead_letters, metrics)
        self.projection = Projection(producer, self.names.moments, ownership)
        policies = Policies(self.settings)
        self.scorer = Scorer(self.settings, producer, Roster(self.panel), view, policies, letters, metrics, clock)
        countings = Countings(policies)
        self.scorer.requests = countings.requests
        self.learner = Learner(self.settings, producer, view, self.projection, letters, metrics, countings, clock)
        stores: Any = SimpleNamespace(drop_unpurged=lambda opened, mark: 0)
        standbys: Any = SimpleNamespace(stores={})
        self.fulfiller = Fulfiller(
            self.settings, producer, ownership, countings, self.projection, stores, standbys,
            Eraser(self.scorer.deciding, self._committed),
        )  # fmt: skip
        self.looking = None
        self.hear()

    async def _committed(self, number: int) -> int:
        return self.committed[self.names.turns]

    async def work(self, topic: str, count: int) -> None:
        """Begin with the next `count` records of an input; they end when what they wait for is delivered."""
        intake = self.intakes[topic]
        records: list[Any] = list(self.logs[topic][intake.next : intake.next + count])
        if not records:
            return
        part = Slice(self.partition, self.partition.generation, intake, records)
        agent = self.scorer if topic == self.names.turns else self.learner
        end = await agent.begin([part])
        intake.taken(part.records[-1].offset)
        self.last[topic] = ended = asyncio.ensure_future(_after(self.last.get(topic), end))
        self.tasks.append((ended, [part]))
        await settle()

    async def deliver_some(self, chance: random.Random) -> None:
        """To one of the topics that something is on its way to."""
        if waiting := [topic for topic, batches in self.waiting.items() if batches]:
            await self.deliver(chance.choice(waiting))

    async def come_to_rest(self) -> None:
        """All is read, also early labels whose pauses have not ended yet, and said in `moments.v1`."""
        await self.run_dry()
        for _ in range(8):
            self.now += 700_000
            await self.retry_early()
            await self.run_dry()
        await self.project()

    async def retry_early(self) -> None:
        due = list(self.partition.due_early(self.now))
        producer: Any = self
        self.tasks.append((asyncio.ensure_future(send_again(producer, self.names.labels, self.partition, due)), []))
        await settle()

    def commit(self) -> None:
        """Offsets of what has ended, in the order in which it began."""
        while self.tasks and self.tasks[0][0].done():
            task, slices = self.tasks.pop(0)
            try:
                task.result()
            except Overtaken:
                continue
            for part in slices:
                part.intake.processed(part.records[-1].offset)
        for topic, intake in self.intakes.items():
            intake.validate()
            self.committed[topic] = intake.done

    async def crash(self) -> None:
        for topic, waiting in self.waiting.items():
            for _ in range(self.chance.randint(0, len(waiting))):
                for record in waiting.popleft()[0]:
                    self.publish(topic, record)
        alive = [task for task, _ in self.tasks] + ([self.looking] if self.looking is not None else [])
        for task in alive:
            task.cancel()
        await asyncio.gather(*alive, return_exceptions=True)
        self.crashes += 1
        self.begin_worker()
        marking = asyncio.ensure_future(self.fulfiller.mark())
        while not marking.done():
            await settle()
            while self.waiting[self.names.changelog]:
                await self.deliver(self.names.changelog)
        marking.result()

    async def project(self) -> None:
        """Publish the moments of every context."""
        self.projection.touch(self.partition, self.partition.contexts())
        self.tasks.append((asyncio.ensure_future(self.projection.flush()), []))
        await settle()
        await self.run_dry()

    async def run_dry(self) -> None:
        """No more crashes: everything is read, delivered and committed."""
        for _ in range(2000):
            for topic in (self.names.turns, self.names.labels):
                await self.work(topic, 50)
            for topic in list(self.waiting):
                while self.waiting[topic]:
                    await self.deliver(topic)
            self.commit()
            self.hear()
            await self.look()
            if self.looking is not None and not self.looking.done():
                await asyncio.sleep(0.0005)  # a purge is in a thread
                continue
            if not self.fulfiller.is_aligned or self.waiting[self.names.changelog]:
                continue
            if not self.tasks and all(self.intakes[t].done == len(self.logs[t]) for t in self.intakes):
                return
        raise AssertionError("the flow does not come to rest")


async def _after(before: asyncio.Future[Any] | None, end: End) -> None:
    """As a pipeline does it: in order."""
    if before is not None and not before.done():
        await asyncio.wait([before])
    await end()


async def settle() -> None:
    """Let what can run, run."""
    for _ in range(12):
        await asyncio.sleep(0)
