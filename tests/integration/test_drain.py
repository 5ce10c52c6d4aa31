"""A worker that is told to end finishes what it has, leaves its group at once and exits 0, whatever it is doing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from stream import broker as embedded
from stream import state
from stream.settings import Settings
from stream.topics import TopicNames
from support.flow import made, record_of, turn
from support.kafka import Record, eventually, produce
from support.oracle import read_logs, until_sound
from support.worker_process import WorkerProcess

DRAIN = 4.0
"""Seconds; the expert may take 10, and a member that does not answer is waited for for 6."""


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Iterator[Settings]:
    with made(broker, tmp_path, partitions=2, session_timeout=6.0, heartbeat=0.5, drain_timeout=DRAIN) as settings:
        yield settings


def worker_of(settings: Settings, folder: Path, name: str = "worker", **environ: str) -> WorkerProcess:
    mine = settings.model_copy(update={"data_dir": folder / f"state-{name}"})
    return WorkerProcess(mine, folder / f"{name}.log", **environ)


def members(settings: Settings) -> int:
    admin = AdminClient({"bootstrap.servers": settings.broker})
    (described,) = admin.describe_consumer_groups([settings.app_id]).values()
    return len(described.result(30).members)


def when(worker: WorkerProcess, event: str, begins: bool = False) -> None:
    """Returns when the worker has logged the event, or one whose text begins so."""

    def logged() -> bool:
        worker.assert_running()
        return f'"{event}' in worker.text() if begins else bool(worker.events(event))

    eventually(logged, awaited=event)


def ends_well(worker: WorkerProcess) -> None:
    """Told to end, and told so again, it exits 0 within its time, and says why if it could not finish."""
    worker.process.terminate()
    worker.process.terminate()
    assert worker.wait() == 0, worker.text()[-3000:]
    assert worker.events("worker_stopped"), worker.text()[-3000:]
    worker.assert_no_traceback()


@pytest.mark.parametrize("event", ["worker_starting", "view_caught_up", "recovery_started", "worker_ready"])
def test_told_to_end_while_it_starts_recovers_or_works_it_leaves_and_exits_0(
    settings: Settings, tmp_path: Path, event: str
) -> None:
    # Enough for a recovery that is still under way when the signal comes.
    filling = [Record(b"x" * 500, b"fill-%d" % number, partition=number % 2) for number in range(20_000)]
    asyncio.run(produce(settings.broker, TopicNames.of(settings).changelog, filling))
    worker = worker_of(settings, tmp_path).start()
    when(worker, event)
    ends_well(worker)
    assert members(settings) == 0
