"""Publishes what an annotator said: a label in `labels.v1`, and only what the broker has is called saved."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from stream.errors import StreamError, WriteError
from stream.labelling import Labelling
from stream.records import Label
from stream.settings import Settings

SECONDS: Final = 10.0
"""Within which the broker must have a vote: an annotator waits, and can send it again, which changes nothing."""


class Publisher:
    """Connects when it is first needed, and anew after trouble."""

    def __init__(self, settings: Settings) -> None:
        patient = min(SECONDS, settings.write_timeout)
        self._settings = settings.model_copy(update={"write_timeout": patient})
        self._labelling: Labelling | None = None
        self._connecting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    async def publish(self, label: Label) -> None:
        """Returns when all replicas have it. Raises WriteError, BrokerError or TopicsError, one line, when that is not
        known: it may have been written, so sending it again is right."""
        labelling = await self._connected()
        try:
            refused = await labelling.publish([label])
        except (StreamError, KafkaError) as error:
            self._leave(labelling)
            if isinstance(error, StreamError):
                raise
            raise WriteError(f"the broker went away ({error!r})") from error
        if refused:
            raise WriteError(f"the label was not saved: {refused[0]}")

    async def close(self) -> None:
        """Disconnect; what was acknowledged stays."""
        if self._labelling is not None:
            self._leave(self._labelling)
        await asyncio.gather(*self._leaving)

    async def _connected(self) -> Labelling:
        async with self._connecting:
            if self._labelling is None:
                try:
                    self._labelling = await Labelling(self._settings).__aenter__()
                except KafkaError as error:
                    raise WriteError(f"the broker went away ({error!r})") from error
            return self._labelling

    def _leave(self, labelling: Labelling) -> None:
        """Whoever votes next does not wait until the broker has refused what it was sent."""
        if self._labelling is labelling:
            self._labelling = None
            leaving = asyncio.create_task(labelling.__aexit__())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
