"""Sends records that are lines of JSON already, and tells which of them the broker has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from aiokafka.errors import KafkaError

from stream import connection, topics_admin
from stream.errors import TopicsError, WriteError
from stream.lines import MAX_LINE_BYTES
from stream.refusals import GRANT, NOT_ALLOWED, allowed, unseen
from stream.settings import Settings
from stream.topics import METADATA_MS


class Outbound(NamedTuple):
    """A record to send, and the number of the line that it was; without a partition its key decides."""

    number: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None


class Sender:
    """One topic's producer, acks=all; the partition follows from the key, as for any client of the Java family.

    Not idempotent on purpose: a turn or label sent twice changes nothing, while one record that the broker refuses
    would end an idempotent producer. Records of one key stay in order, since a partition has one request in flight.
    """

    def __init__(self, settings: Settings, topic: str, rate: float | None = None) -> None:
        """`rate` is records per second, None for as fast as the broker takes them."""
        self._settings = settings
        self._topic = topic
        self._pause = 1.0 / rate if rate else 0.0
        self._due = 0.0

    async def start(self) -> Self:
        """Connects. Raises BrokerError, one line, when no broker answers, TopicsError when the topic is not there."""
        if not await topics_admin.partitions(self._settings, [self._topic]):
            raise TopicsError(f"topic {self._topic} does not exist{unseen(self._settings)}: run `aegis topics create`")
        self._kafka = connection.producer(
            self._settings,
            request_timeout_ms=int(self._settings.write_timeout * 1000),
            max_request_size=2 * MAX_LINE_BYTES,  # the broker knows what its topic takes, and says so
            metadata_max_age_ms=METADATA_MS,  # a service sends for weeks, and partitions may be added
        )
        await self._kafka.start()
        return self

    async def stop(self) -> None:
        """Disconnects; everything sent has been acknowledged or refused before."""
        await self._kafka.stop()

    async def send(self, records: Sequence[Outbound], sent: Callable[[int], None]) -> list[tuple[int, str]]:
        """Sends and waits until the broker has them; returns (line, reason) of those that it refused.

        `sent` is told of each record that the broker has. Raises WriteError when it does not answer in time.
        """
        futures: dict[asyncio.Future[object], int] = {}
        for number, key, value, headers, partition in records:
            await self._pace()
            try:
                future = await self._kafka.send(self._topic, value, key, partition, headers=list(headers))
            except NOT_ALLOWED as error:
                raise WriteError(f"the broker takes no record for {self._topic} from this user: {GRANT}") from error
            except KafkaError as error:
                raise self._unanswered() from error
            future.add_done_callback(lambda ended: None if ended.cancelled() or ended.exception() else sent(1))
            futures[future] = number
        _, late = await asyncio.wait(futures, timeout=self._settings.write_timeout) if futures else ((), ())
        if late:
            raise self._unanswered()
        refused = [(number, future.exception()) for future, number in futures.items()]
        return [(number, f"the broker refused it ({error}){allowed(error)}") for number, error in refused if error]

    async def _pace(self) -> None:
        if not self._pause:
            return
        now = asyncio.get_running_loop().time()
        self._due = max(now, self._due + self._pause)
        await asyncio.sleep(self._due - now)

    def _unanswered(self) -> WriteError:
        seconds, broker = self._settings.write_timeout, self._settings.broker
        return WriteError(
            f"the broker at {broker} acknowledged nothing for {seconds:g} s: see that it runs, then send the rest"
        )


async def send_one(settings: Settings, topic: str, key: bytes, value: bytes) -> None:
    """Sends one record and waits until the broker has it. Raises TopicsError, BrokerError or WriteError, one line."""
    sender = await Sender(settings, topic).start()
    try:
        refused = await sender.send([Outbound(1, key, value)], lambda count: None)
    finally:
        await sender.stop()
    if refused:
        raise WriteError(f"{topic}: {refused[0][1]}; run it again")
