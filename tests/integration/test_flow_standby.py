"""A standby makes a takeover short: what its worker has already is not read again, whoever has had the partition."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from stream.broker import free_port
from stream.settings import Settings
from stream.topics import TopicNames
from support.flow import Flow, label, made, turn
from support.kafka import eventually
from support.worker_process import WorkerProcess

TURNS = 400
FEW = TURNS // 8
"""Records that a promoted standby may still have to read: claims, and what came in the moment before."""


@pytest.fixture(params=[pytest.param("memory", marks=pytest.mark.slow), "rocksdict"])
def settings(request: pytest.FixtureRequest, broker: str, tmp_path: Path) -> Iterator[Settings]:
    common = {"partitions": 2, "session_timeout": 6.0, "heartbeat": 2.0, "standbys": 1, "store": request.param}
    with made(broker, tmp_path, **common) as settings:
        yield settings


def metrics(worker: WorkerProcess) -> dict[str, float]:
    """What the worker says of itself; nothing while it does not answer."""
    try:
        with urlopen(f"http://127.0.0.1:{worker.settings.http_port}/metrics", timeout=5.0) as answer:
            lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    except (URLError, TimeoutError):
        return {}
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def keeps_up(worker: WorkerProcess) -> bool:
    found = metrics(worker)
    return found.get("aegis_standbys") == 1 and found["aegis_standby_lag_records"] == 0


def owns(worker: WorkerProcess, partitions: int) -> bool:
    worker.assert_running()
    ready = worker.events("worker_ready")
    return bool(ready) and len(ready[-1]["partitions"]) == partitions


async def fill(flow: Flow, name: str) -> None:
    await flow.turns(*(turn(f"{name}{i}") for i in range(TURNS)))
    await flow.labels(*(label(f"{name}{i}") for i in range(0, TURNS, 8)))
    await flow.sound(f"{name}{i}" for i in range(TURNS))


def test_a_standby_is_promoted_gives_its_partition_back_and_is_promoted_again(
    settings: Settings, tmp_path: Path
) -> None:
    first, second = (
        WorkerProcess(
            settings.model_copy(update={"data_dir": tmp_path / name, "http_port": free_port()}),
            tmp_path / f"{name}.log",
        )
        for name in ("first", "second")
    )
    with second:
        flow = Flow(settings, TopicNames.of(settings), second.ready())
        for name in ("a", "b"):  # the second time with a store that was owned in between
            first.start()
            eventually(lambda: owns(first, 1) and owns(second, 1), awaited="a partition for each")
            asyncio.run(fill(flow, name))
            eventually(lambda: keeps_up(second), awaited="a standby that keeps up")
            first.kill()
            eventually(lambda: owns(second, 2), awaited="both partitions for the one that is left")
            assert second.events("recovery_ended")[-1]["records"] < FEW
        asyncio.run(flow.labels(label("a1", "unsafe", "later"), label("b1", "unsafe", "later")))
        asyncio.run(flow.sound())
    first.assert_no_traceback()
