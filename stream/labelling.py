"""Labels of people onto `labels.v1`, for whatever takes them in: the gateway's webhook, the console's review queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from stream.codecs import encode
from stream.records import Label
from stream.sending import Outbound, Sender
from stream.settings import Settings
from stream.topics import TopicNames


class Labelling:
    """Publishes labels; any number of callers may do so at once.

    Delivery guarantee: when `publish` returns, every replica has what it did not name. Sent again after a failure, a
    label changes nothing: the newest vote of an annotator counts, and once."""

    def __init__(self, settings: Settings) -> None:
        self._sender = Sender(settings, TopicNames.of(settings).labels)

    async def __aenter__(self) -> Self:
        """Connects. Raises BrokerError or TopicsError, one line."""
        await self._sender.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sender.stop()

    async def publish(self, labels: Sequence[Label]) -> dict[int, str]:
        """Waits until the broker has them; returns, by its place in `labels`, why each was not taken: empty is good.

        Raises WriteError, one line, when the broker does not answer within AEGIS_WRITE_TIMEOUT: send all of them again.
        """
        records = [Outbound(n, label.conversation_id.encode(), encode(label)) for n, label in enumerate(labels)]
        return dict(await self._sender.send(records, lambda count: None))
