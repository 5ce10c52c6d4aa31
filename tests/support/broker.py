"""The broker that integration tests run against, and names that keep them apart on it."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from stream import broker as embedded
from stream import topics_admin
from stream.settings import Settings

NAMED = "AEGIS_TEST_BROKER"


@dataclass(frozen=True)
class Namespace:
    """Names that one test alone uses: its topics' prefix and its application's id."""

    topic_prefix: str
    app_id: str

    @classmethod
    def new(cls) -> Namespace:
        """Returns names that no other test has had."""
        unique = uuid.uuid4().hex[:12]
        return cls(topic_prefix=f"test-{unique}.", app_id=f"test-{unique}")

    def settings(self, broker: str, **overrides: Any) -> Settings:
        """Returns a worker's settings under these names."""
        names = {"topic_prefix": self.topic_prefix, "app_id": self.app_id}
        return Settings.load(**{"broker": broker, **names, **overrides})


async def delete_namespace(broker: str, namespace: Namespace) -> None:
    """Deletes every topic under these names, those that Faust made for itself among them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        ours = (namespace.topic_prefix, f"{namespace.app_id}-")
        topics = [topic for topic in await admin.list_topics() if topic.startswith(ours)]
        if topics:
            await admin.delete_topics(topics)
    finally:
        await admin.close()


@contextmanager
def broker_for_tests(folder: Path) -> Iterator[str]:
    """Yields the address of the broker that AEGIS_TEST_BROKER names, else of an embedded one kept in `folder`.

    One that is named and does not answer is an error, never a reason to skip.
    """
    named = os.environ.get(NAMED)
    if named:
        asyncio.run(topics_admin.check(Namespace.new().settings(named)))
        yield named
        return
    running = embedded.start(folder, embedded.free_port())
    try:
        yield running.bootstrap
    finally:
        embedded.stop(folder)
