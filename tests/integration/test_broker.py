"""The embedded broker as a person meets it; a real one, on a free port, beside any that runs already."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaClient
from click.testing import CliRunner

from stream import broker, topics_admin
from stream.__main__ import cli
from stream.topics import TopicNames
from support.broker import NAMED, Namespace
from support.kafka import Record, consume_until, eventually, produce

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        bool(os.environ.get(NAMED)) and shutil.which("java") is None,
        reason=f"{NAMED} names a broker, and there is no Java to start another with",
    ),
]


# What one id in 64 is like: its base64 begins with a dash, as an option of a command does.
DASHED = uuid.UUID(bytes=b"\xf8" * 16)


def test_a_broker_that_was_killed_starts_again_with_its_data_and_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Namespace.new()
    with monkeypatch.context() as patch:
        patch.setattr(uuid, "uuid4", lambda: DASHED)
        first = broker.start(tmp_path, broker.free_port())
    try:
        assert broker.status(tmp_path) == first
        settings = names.settings(first.bootstrap, partitions=2)
        turns = TopicNames.of(settings).turns
        asyncio.run(topics_admin.create(settings))
        asyncio.run(produce(first.bootstrap, turns, [Record(b"kept", key=b"c")]))
        assert not asyncio.run(knows(first.bootstrap, f"{names.topic_prefix}by-accident"))
        again = CliRunner().invoke(cli, ["broker", "start", "--directory", str(tmp_path), "--port", str(first.port)])
        assert again.stderr.startswith(f"Error: a broker already runs on {first.bootstrap}")

        os.kill(first.pid, signal.SIGKILL)
        eventually(lambda: broker.status(tmp_path) is None)
        second = broker.start(tmp_path, broker.free_port())
        (record,) = asyncio.run(consume_until(second.bootstrap, turns, lambda records: len(records) == 1))
        assert record.value == b"kept"

        assert broker.stop(tmp_path) == second
        assert broker.status(tmp_path) is None
        assert not broker.serves(second.port)
    finally:
        if broker.status(tmp_path):
            broker.stop(tmp_path)


async def knows(bootstrap: str, topic: str) -> bool:
    """Whether the broker has the topic after a client asked for it by name, which makes it where that is allowed."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        await client.force_metadata_update()
        await client.force_metadata_update()
        return topic in client.cluster.topics()
    finally:
        await client.close()
