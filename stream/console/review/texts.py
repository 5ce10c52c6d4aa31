"""Reads a turn, what was said before it, and its verdict, by their offsets, at the moment they are shown. Nothing that
is read here outlives the answer to the request that asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.codecs import Rejected, decode_turn, decoded
from stream.console.review.candidates import Candidate
from stream.errors import BrokerError
from stream.reading import reader
from stream.records import Turn, Utterance, Verdict
from stream.requests import Requests
from stream.settings import Settings
from stream.topics import TopicNames

WINDOW: Final = 400
"""Records before a turn in which its conversation is looked for: a few milliseconds of reading. A conversation that
goes on for longer beside others shows its last part."""
MOST_BEFORE: Final = 12
"""Earlier turns that are shown: more is not read before a vote."""
FETCH_BYTES: Final = 512 << 10
"""At once, since what lies behind the turn comes along and is thrown away."""
SECONDS: Final = 8.0
"""Within which a turn is read, or the broker is called gone: an annotator waits."""

_verdicts = msgspec.json.Decoder(Verdict)


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """A turn with what was said before it, oldest first. `is_cut`: something was said before that is not here."""

    turn: Turn
    before: tuple[Utterance, ...]
    is_cut: bool


class Texts:
    """One consumer that is moved to where it is asked to read; one reading at a time."""

    def __init__(self, settings: Settings, requests: Requests) -> None:
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._requests = requests
        self._consumer: AIOKafkaConsumer | None = None
        self._connection = AsyncExitStack()
        self._one = asyncio.Lock()

    async def turn(self, candidate: Candidate) -> Shown | None:
        """None when it is not there any more: retention took it, the topic was made anew, or an operator wants it
        forgotten. Raises BrokerError, one line, when the broker does not answer."""
        place = TopicPartition(self._names.turns, candidate.partition)
        async with self._reading() as consumer:
            records = await _records(consumer, place, candidate.offset - WINDOW, candidate.offset)
        if not records or records[-1].offset != candidate.offset:
            return None
        turn = self._turn(records[-1])
        if turn is None or (turn.tenant, turn.turn_id) != (candidate.tenant, candidate.turn_id):
            return None
        if turn.history:
            return Shown(turn, turn.history[-MOST_BEFORE:], len(turn.history) > MOST_BEFORE)
        earlier = [found for record in records[:-1] if (found := self._turn(record)) is not None]
        said = {
            one.turn_id: Utterance(one.role, one.text)  # one that was sent twice was said once
            for one in earlier
            if (one.tenant, one.conversation_id) == (turn.tenant, turn.conversation_id) and one.turn_id != turn.turn_id
        }
        before = tuple(said.values())
        return Shown(turn, before[-MOST_BEFORE:], len(before) > MOST_BEFORE)

    async def verdict(self, candidate: Candidate) -> Verdict | None:
        """What the ensemble decided; None when it is not there any more. Raises BrokerError, one line."""
        place = TopicPartition(self._names.verdicts, candidate.verdict_partition)
        async with self._reading() as consumer:
            records = await _records(consumer, place, candidate.verdict_offset, candidate.verdict_offset)
        verdict = decoded(_verdicts, records[-1].value) if records else None
        return verdict if isinstance(verdict, Verdict) and verdict.turn_id == candidate.turn_id else None

    async def close(self) -> None:
        """Disconnect."""
        self._consumer = None
        await self._connection.aclose()

    def _turn(self, record: Any) -> Turn | None:
        found = decode_turn(record.value, self._settings.max_text_bytes)
        if isinstance(found, Rejected) or self._requests.forgets_turn(found, record.timestamp):
            return None
        return found

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AIOKafkaConsumer]:
        async with self._one:
            try:
                async with asyncio.timeout(SECONDS):
                    yield await self._connected()
            except (KafkaError, TimeoutError) as error:
                raise BrokerError(f"the broker at {self._settings.broker} does not answer: see that it runs") from error
            finally:
                if self._consumer is not None:
                    self._consumer.unsubscribe()  # and what it had fetched is dropped

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            made = reader(self._settings, fetch_bytes=FETCH_BYTES)
            self._consumer = await self._connection.enter_async_context(made)
        return self._consumer


async def _records(consumer: AIOKafkaConsumer, place: TopicPartition, first: int, last: int) -> list[Any]:
    """aiokafka's records from offset `first` to `last`, as far as they are there."""
    start = (await consumer.beginning_offsets([place]))[place]
    end = (await consumer.end_offsets([place]))[place]
    if not start <= last < end:
        return []
    consumer.assign([place])
    consumer.seek(place, max(first, start))
    found: list[Any] = []
    while await consumer.position(place) <= last:
        for records in (await consumer.getmany(place, timeout_ms=200)).values():
            found += [record for record in records if record.offset <= last]
    return found
