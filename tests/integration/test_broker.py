"""The embedded broker as a person meets it; a real one, on a free port, beside any that runs already."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from aiokafka import AIOKafkaClient
from click.testing import CliRunner

from stream import broker, topics_admin
from stream.__main__ import cli
from stream.topics import TopicNames
from support.broker import NAMED, Namespace
from support.kafka import Record, consume_until, produce

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        bool(os.environ.get(NAMED)) and shutil.which("java") is None,
        reason=f"{NAMED} names a broker, and there is no Java to start another with",
    ),
]


def test_a_broker_starts_serves_is_stopped_and_finds_its_data_again(tmp_path: Path) -> None:
    port, names = broker.free_port(), Namespace.new()
    running = broker.start(tmp_path, port)
    try:
        assert running == broker.status(tmp_path)
        settings = names.settings(running.bootstrap, partitions=2)
        turns = TopicNames.of(settings).turns
        asyncio.run(topics_admin.create(settings))
        asyncio.run(produce(running.bootstrap, turns, [Record(b"kept", key=b"c")]))
        again = CliRunner().invoke(cli, ["broker", "start", "--directory", str(tmp_path), "--port", str(port)])
        assert again.exit_code != 0
        assert again.stderr.startswith(f"Error: a broker already runs on {running.bootstrap}")
        assert not asyncio.run(knows(running.bootstrap, f"{names.topic_prefix}by-accident"))

        assert broker.stop(tmp_path) == running
        assert broker.status(tmp_path) is None
        assert not broker.serves(port)

        moved = broker.start(tmp_path, broker.free_port())
        (record,) = asyncio.run(consume_until(moved.bootstrap, turns, lambda records: len(records) == 1))
        assert record.value == b"kept"
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
