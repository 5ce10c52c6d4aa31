"""Keeps queue and ledger by the topics: requests first, then labels, then the verdicts that ask for one, each from as
long ago as a label is still learned, and then as they come. What is here is derived: a restart reads it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream.codecs import decode_label
from stream.console.review.candidates import candidate_of
from stream.console.review.ledger import Ledger
from stream.console.review.queue import Queue
from stream.errors import StreamError
from stream.following import follow
from stream.labels import Counting
from stream.reading import reader
from stream.records import Label
from stream.requests import Requests, milliseconds
from stream.settings import Settings
from stream.topics import TopicNames

log = structlog.get_logger()

AT_ONCE: Final = 500
"""Records between two turns of the loop: a fetch may bring ten thousand, and pages wait meanwhile."""
AGAIN_SECONDS: Final = 2.0
"""After trouble, until all is read again."""
PULSE_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 3.0
"""Without an answer of the broker, after which it is called gone: far above an answer, and a person notices by then."""

Records = list[Any]


class _Anew(Exception):
    """A revocation changed which labels count."""


class Feed:
    """Runs as long as the console does. `requests` is learned here and read by others."""

    def __init__(self, settings: Settings, queue: Queue, ledger: Ledger, requests: Requests) -> None:
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._policies = settings.defined_policies()
        self._queue = queue
        self._ledger = ledger
        self._requests = requests
        self._counting: dict[str, Counting] = {}
        self._known = self._revocations()
        self.trouble: str | None = None
        """What keeps the queue from being read, in one line; None while all is well."""
        self.is_ready = False
        """Whether all labels have been read, so that nobody is asked twice."""
        self.has_caught_up = False
        """Whether all verdicts have been read, too."""
        self._requests_read, self._labels_read = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """For ever. Whatever the broker does, it is told in `trouble` and tried again."""
        while True:
            self._requests_read, self._labels_read = asyncio.Event(), asyncio.Event()
            self.has_caught_up = False
            try:
                async with asyncio.TaskGroup() as group:
                    for job in (self._hear_requests, self._hear_labels, self._hear_verdicts, self._feel_pulse):
                        group.create_task(job())
            except* _Anew:
                log.info("review_queue_read_anew", why="a revocation")
                self.is_ready = False
                self._queue.clear()
                self._ledger.clear()
            except* (StreamError, KafkaError, OSError) as errors:
                first = _first(errors)
                self.trouble = str(first) if isinstance(first, StreamError) else self._silence()
                log.warning("review_queue_not_read", why=self.trouble)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _hear_requests(self) -> None:
        read = self._requests_read
        async for records in self._follow(self._names.requests, None, read.set):
            self._requests.learn(records)
            if read.is_set() and self._revocations() != self._known:
                raise _Anew
            self._known = self._revocations()

    def _set_ready(self) -> None:
        self._labels_read.set()
        self.is_ready = True

    def _set_caught_up(self) -> None:
        self.has_caught_up = True

    def _revocations(self) -> int:
        """Changes when a revocation is asked for or undone."""
        return hash(tuple(asked.place for asked in self._requests.revocations.values()))

    async def _hear_labels(self) -> None:
        await self._requests_read.wait()
        self._counting = {}
        async for records in self._follow(self._names.labels, self._since_ms(), self._set_ready):
            for record in records:
                label = decode_label(record.value, record.key)
                if isinstance(label, Label) and not self._is_revoked(label):
                    self._queue.labelled(self._ledger.add(label, record.timestamp))

    async def _hear_verdicts(self) -> None:
        await self._labels_read.wait()
        async for records in self._follow(self._names.verdicts, self._since_ms(), self._set_caught_up):
            for record in records:
                candidate = candidate_of(record, self._names.turns, self._policies)
                if candidate is not None:
                    self._queue.add(candidate)

    async def _feel_pulse(self) -> None:
        """Readers wait for a broker that is gone, and say nothing: this asks it something."""
        place = [TopicPartition(self._names.turns, 0)]
        async with reader(self._settings) as consumer:
            while True:
                try:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await consumer.end_offsets(place)
                    self.trouble = None
                except (KafkaError, TimeoutError):
                    self.trouble = self._silence()
                await asyncio.sleep(PULSE_SECONDS)

    async def _follow(
        self, topic: str, since_ms: int | None, caught_up: Callable[[], None]
    ) -> AsyncGenerator[Records, None]:
        found = follow(self._settings, topic, since_ms is None, since_ms, caught_up)
        async with aclosing(found) as batches:
            async for batch in batches:
                for records in _portions(batch):
                    yield records
                    await asyncio.sleep(0)

    def _is_revoked(self, label: Label) -> bool:
        counting = self._counting.get(label.tenant)
        if counting is None:
            counting = self._counting[label.tenant] = Counting(revoked=self._requests.revoked_in(label.tenant))
        return counting.is_revoked(label.annotator, milliseconds(label.labelled_at))

    def _silence(self) -> str:
        return f"the broker at {self._settings.broker} does not answer"

    def _since_ms(self) -> int:
        return int((time.time() - self._settings.label_horizon) * 1000)


def _portions(records: Sequence[Any]) -> Iterator[Records]:
    return (list(records[at : at + AT_ONCE]) for at in range(0, len(records), AT_ONCE))


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
