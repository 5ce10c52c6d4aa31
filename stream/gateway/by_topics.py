"""By way of the topics: a turn is published as any producer would, and its verdict is read as any consumer would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self

import msgspec
import structlog

from stream.codecs import UNREADABLE, encode
from stream.errors import StreamError, WriteError
from stream.following import follow
from stream.gateway.ways import late
from stream.records import Turn, Verdict
from stream.sending import Outbound, Sender
from stream.settings import Settings
from stream.topics import TopicNames
from stream.web.answers import Refusal

log = structlog.get_logger()

AGAIN_SECONDS = 1.0
"""Between two tries to read verdicts of a broker that does not answer."""

Key = tuple[str, str]
"""Tenant and turn id: what makes a turn one."""


class _Named(msgspec.Struct, gc=False):
    """As much of a verdict as tells whether anybody waits for it: every gateway reads those of all producers."""

    turn_id: str
    tenant: str


_named = msgspec.json.Decoder(_Named)
_verdicts = msgspec.json.Decoder(Verdict)


class Awaited:
    """Who waits for which verdict."""

    def __init__(self) -> None:
        self._futures: dict[Key, list[asyncio.Future[Verdict]]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def expect(self, turn: Turn) -> asyncio.Future[Verdict]:
        """A future of the next verdict on a turn. Several may wait for one: a request that was sent again."""
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._futures.setdefault((turn.tenant, turn.turn_id), []).append(future)
        return future

    def forget(self, turn: Turn, future: asyncio.Future[Verdict]) -> None:
        """Nobody waits for this one any more; once more changes nothing."""
        key = turn.tenant, turn.turn_id
        future.cancel()
        left = [one for one in self._futures.get(key, ()) if one is not future]
        if left:
            self._futures[key] = left
        else:
            self._futures.pop(key, None)

    def take(self, records: Iterable[Any]) -> None:
        """Hands each verdict to those who wait for it. What is none is passed over: it is not ours to judge."""
        for record in records:
            if not self._futures or record.value is None:
                continue
            try:
                named = _named.decode(record.value)
                key = named.tenant, named.turn_id
                if key not in self._futures:
                    continue
                verdict = _verdicts.decode(record.value)
            except UNREADABLE:
                continue
            for future in self._futures.pop(key):
                if not future.done():
                    future.set_result(verdict)


class ByTopics:
    """Delivery guarantee: a turn is with all replicas before its verdict is waited for, and has one whether or not
    anybody still waits: after a 504 it comes on the topic.

    `timeout`: seconds for all of a request, publishing and waiting."""

    def __init__(self, settings: Settings, timeout: float) -> None:
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._timeout = timeout
        self._sender = Sender(settings, self._names.turns)
        self._awaited = Awaited()
        self._batches: AsyncGenerator[list[Any], None] | None = None
        self._why = "verdicts are not read yet"

    async def __aenter__(self) -> Self:
        """Connects, and reads verdicts from now on. Raises BrokerError or TopicsError, one line."""
        await self._sender.start()
        try:
            await self._begin()
        except BaseException:
            await self._sender.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sender.stop()
        if self._batches is not None:
            await self._batches.aclose()

    async def verdicts(self, turns: Sequence[Turn], headers: Mapping[str, str], again: bool) -> list[Verdict]:
        """See `ToVerdicts`."""
        if self._why:
            raise Refusal(503, f"no verdict could be read: {self._why}", "unavailable", headers={"Retry-After": "1"})
        futures = [self._awaited.expect(turn) for turn in turns]
        try:
            async with asyncio.timeout(self._timeout):
                await self._publish(turns, headers)
                return list(await asyncio.gather(*futures))
        except TimeoutError:
            what = "it comes on the topic still; a request with an Idempotency-Key may be sent again for it"
            raise late(self._timeout, what, retry=again) from None  # without one, more turns would come on top
        finally:
            for turn, future in zip(turns, futures, strict=True):
                self._awaited.forget(turn, future)

    async def _publish(self, turns: Sequence[Turn], headers: Mapping[str, str]) -> None:
        with_them = [(name, value.encode()) for name, value in headers.items()]
        records = [Outbound(n, turn.conversation_id.encode(), encode(turn), with_them) for n, turn in enumerate(turns)]
        try:
            refused = await self._sender.send(records, lambda count: None)
        except WriteError as error:
            raise Refusal(503, str(error), "unavailable", headers={"Retry-After": "1"}) from error
        if refused:
            raise Refusal(503, f"a turn was not taken: {refused[0][1]}", "refused_by_broker")

    def trouble(self) -> str | None:
        """See `ToVerdicts`."""
        return self._why or None

    async def run(self) -> None:
        """Hands out verdicts. While the broker does not answer it is tried again, and those of that time are lost to
        us: who waits for them is told 504."""
        while True:
            try:
                await self._hand_out()
            except StreamError as error:
                self._why = str(error)
                log.error("verdicts_not_read", why=self._why, remedy="it is tried again until the broker answers")
            await asyncio.sleep(AGAIN_SECONDS)

    async def _hand_out(self) -> None:
        if self._batches is None:
            await self._begin()
        batches, self._batches = self._batches, None
        assert batches is not None
        async with aclosing(batches):
            async for records in batches:
                self._awaited.take(records)

    async def _begin(self) -> None:
        self._batches = follow(self._settings, self._names.verdicts, from_beginning=False)
        await anext(self._batches)  # its first batch is empty: from here on, whatever comes is read
        self._why = ""
