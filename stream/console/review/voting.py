"""Publishes what an annotator said: a label in `labels.v1`, and only what the broker has is called saved."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from stream.codecs import encode
from stream.errors import StreamError, WriteError
from stream.records import Label
from stream.sending import Outbound, Sender
from stream.settings import Settings
from stream.topics import TopicNames

SECONDS: Final = 10.0
"""Within which the broker must have a vote: an annotator waits, and can send it again, which changes nothing."""


class Publisher:
    """One producer, made when it is first needed and made anew after trouble."""

    def __init__(self, settings: Settings) -> None:
        patient = min(SECONDS, settings.write_timeout)
        self._settings = settings.model_copy(update={"write_timeout": patient})
        self._topic = TopicNames.of(settings).labels
        self._sender: Sender | None = None
        self._one = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()

    async def publish(self, label: Label) -> None:
        """Returns when all replicas have it. Raises WriteError, BrokerError or TopicsError, one line, when that is not
        known: it may have been written, so sending it again is right."""
        record = Outbound(1, label.conversation_id.encode(), encode(label))
        async with self._one:
            try:
                if self._sender is None:
                    self._sender = await Sender(self._settings, self._topic).start()
                refused = await self._sender.send([record], lambda count: None)
            except StreamError:
                self._let_go()
                raise
            except KafkaError as error:
                self._let_go()
                raise WriteError(f"the label was not saved: the broker went away ({error!r})") from error
        if refused:
            raise WriteError(f"the label was not saved: {refused[0][1]}")

    async def close(self) -> None:
        """Disconnect; what was acknowledged stays."""
        self._let_go()
        await asyncio.gather(*self._ending)

    def _let_go(self) -> None:
        """Whoever votes next does not wait until the broker has refused what it was sent."""
        sender, self._sender = self._sender, None
        if sender is not None:
            ending = asyncio.create_task(sender.stop())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
