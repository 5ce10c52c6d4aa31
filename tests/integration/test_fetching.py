"""What the worker asks of the broker, seen in its consumer itself: a busy machine makes every delay look alike."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from experts.executor import Panel
from experts.fakes import ConstantExpert
from stream import worker as whole
from stream.consumer import FETCH_WAIT_MS
from stream.errors import StreamError
from stream.topics import TopicNames
from stream.worker import Worker, create_worker
from support.flow import made
from support.kafka import eventually_async


def failed(error: StreamError) -> None:
    pytest.fail(str(error))


async def asked(worker: Worker) -> tuple[int, set[tuple[str, int]], set[tuple[str, int]]]:
    """How long the broker may hold a fetch, what is assigned, and what of it is not fetched."""
    await worker.start()
    try:
        await eventually_async(lambda: worker.ownership.generation, awaited="partitions")
        consumer: Any = worker.app.batches._thread._ensure_consumer()
        return consumer._fetcher._fetch_max_wait_ms, set(consumer.assignment()), set(consumer.paused())
    finally:
        await worker.stop()


def test_no_fetch_is_held_for_long_and_none_is_of_the_changelog(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "_calm_collector", lambda: None)  # this process is not the worker's own
    with made(broker, tmp_path, partitions=2) as settings:
        worker = create_worker(settings, Panel((ConstantExpert(0.1, "one"),)), fatal=failed)
        held, assigned, unread = asyncio.run(asked(worker))
        names = TopicNames.of(settings)
    assert held == FETCH_WAIT_MS
    assert assigned == {(topic, p) for topic in (names.turns, names.labels, names.changelog) for p in (0, 1)}
    assert unread == {(names.changelog, 0), (names.changelog, 1)}
