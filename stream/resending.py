"""Dead letters back to the topic that they came from, once what was wrong has been mended.

Delivery guarantee: at least once, and once in effect. A turn or label that is sent twice changes nothing, so a replay
that was interrupted may be run again from its beginning.

The partition is where the key's client would send it today: by murmur2 (Java, aiokafka, kafka-python), or by CRC32
(librdkafka) where that, and not murmur2, names the partition that the message came from. A message without a key goes
back to its own partition: there its turn_id is known, if it was used before."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka.partitioner import murmur2

from stream.codecs import Rejected, decode_label, decode_turn
from stream.dead_letters import REPLAYED, REPLAYS
from stream.errors import DataError
from stream.letters import Letter, Place, letter, own_headers
from stream.routing import STAMP, Journey
from stream.sending import Outbound, Sender
from stream.settings import Settings
from stream.topics import TopicNames
from stream.topics_admin import partitions

Refused = tuple[str, str]
"""Place of a letter, and why it was not sent."""


class Replayer:
    """Sends letters again, to the two inputs of the contract and nowhere else. `sent`: how many the broker has, by
    topic."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        names = TopicNames.of(settings)
        self._inputs = (names.turns, names.labels)
        self._labels = names.labels
        self._senders: dict[str, Sender] = {}
        self._counts: dict[str, int] = {}
        self.sent: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        """Connects. Raises BrokerError when no broker answers, TopicsError when an input is not there."""
        try:
            for topic in self._inputs:
                self._senders[topic] = await Sender(self._settings, topic).start()
        except BaseException:
            await self._stop()
            raise
        self._counts = await partitions(self._settings, self._inputs)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for sender in self._senders.values():
            await sender.stop()

    def problem(self, record: Any) -> str | None:
        """Why this letter cannot be sent again; None when it can."""
        topic = letter(record).topic
        if topic not in self._inputs:
            # The name itself may be anything: it is not repeated.
            return f"it did not come from one of our inputs ({' or '.join(self._inputs)}): it is sent nowhere"
        if record.key is None and record.value is None:
            return "it has neither a key nor a value: there is nothing to send"
        return None

    async def send(self, records: Sequence[Any], advance: Callable[[int], None]) -> list[Refused]:
        """Send letters again and wait until the broker has them; returns those that were not sent."""
        refused = [(_place(record), why) for record in records if (why := self.problem(record)) is not None]
        for topic in self._inputs:
            mine = [r for r in records if letter(r).topic == topic and self.problem(r) is None]
            outbound = [self._again(number, record, record.key, record.value) for number, record in enumerate(mine)]
            answers = await self._senders[topic].send(outbound, self._counting(topic, advance))
            refused += [(_place(mine[number]), why) for number, why in answers]
        return refused

    async def send_mended(self, record: Any, value: bytes, advance: Callable[[int], None]) -> list[Refused]:
        """Send one letter with another value, under the key that its conversation has. Raises DataError, one line, for
        a value that would be a dead letter at once."""
        if (why := self.problem(record)) is not None:
            return [(_place(record), why)]
        topic = letter(record).topic
        is_label = topic == self._labels
        mended = decode_label(value) if is_label else decode_turn(value, self._settings.max_text_bytes)
        if isinstance(mended, Rejected):
            raise DataError(f"the mended value is no {'label' if is_label else 'turn'} ({mended.detail}): mend it")
        outbound = self._again(0, record, mended.conversation_id.encode(), value)
        answers = await self._senders[topic].send([outbound], self._counting(topic, advance))
        return [(_place(record), why) for _, why in answers]

    def _counting(self, topic: str, advance: Callable[[int], None]) -> Callable[[int], None]:
        def acknowledged(count: int) -> None:
            self.sent[topic] += count
            advance(count)

        return acknowledged

    def _again(self, number: int, record: Any, key: bytes | None, value: bytes | None) -> Outbound:
        told, journey = letter(record), Journey.of([h for h in record.headers if h[0] == STAMP])
        headers = [
            *own_headers(record.headers),
            (REPLAYED, told.place.encode()),
            (REPLAYS, b"%d" % (told.replays + 1)),
        ]
        if told.topic == self._labels:
            # A label's time is clamped to when the broker first had it: sent again, it must not win by being late.
            headers.append((STAMP, b"%d" % (journey.timestamp_ms or max(0, record.timestamp))))
        return Outbound(number, key, value, headers, self._partition(told, record.key, key))

    def _partition(self, told: Letter, before: bytes | None, key: bytes | None) -> int | None:
        """None lets the key decide, by murmur2."""
        count = self._counts[told.topic]
        if key is None:
            return told.partition if 0 <= told.partition < count else None
        by_crc = zlib.crc32(before) % count if before is not None else None
        by_murmur = (murmur2(before) & 0x7FFFFFFF) % count if before is not None else None
        return zlib.crc32(key) % count if told.partition == by_crc != by_murmur else None


def _place(record: Any) -> str:
    return str(Place(record.partition, record.offset))
