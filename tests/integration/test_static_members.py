"""Workers with names of their own (AEGIS_INSTANCE_ID): one that is started again disturbs nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream import growth
from stream.errors import FencedError
from stream.settings import Settings
from stream.topics import TopicNames
from support.flow import made, record_of, turn
from support.kafka import eventually, produce
from support.oracle import until_sound
from support.worker_process import WorkerProcess


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Iterator[Settings]:
    with made(broker, tmp_path, partitions=4, session_timeout=20.0, heartbeat=0.5) as settings:
        yield settings


def worker_of(settings: Settings, folder: Path, name: str, process: str = "") -> WorkerProcess:
    mine = settings.model_copy(update={"instance_id": name, "data_dir": folder / f"state-{name}{process}"})
    return WorkerProcess(mine, folder / f"{name}{process}.log")


def partitions(worker: WorkerProcess) -> list[int]:
    """Those that it has taken last."""
    return list(worker.events("worker_ready")[-1]["partitions"])


def send(settings: Settings, *turn_ids: str) -> None:
    asyncio.run(produce(settings.broker, TopicNames.of(settings).turns, [record_of(turn(i)) for i in turn_ids]))


def test_a_rolling_restart_moves_no_partition_and_the_group_still_grows(settings: Settings, tmp_path: Path) -> None:
    """The one that leads the group does not know it any more when it comes back; growth must not depend on it."""
    with worker_of(settings, tmp_path, "w-0") as first, worker_of(settings, tmp_path, "w-1") as second:
        first.ready()
        second.ready()
        eventually(lambda: len(partitions(first)) == len(partitions(second)) == 2, awaited="two partitions each")
        turns = [f"t{i}" for i in range(40)]
        send(settings, *turns[:20])
        asyncio.run(until_sound(settings, turns[:20]))
        for restarted, other in ((first, second), (second, first)):
            had, generation = partitions(restarted), other.events("worker_ready")
            assert restarted.terminate() == 0
            send(settings, *turns[20:])
            restarted.start().ready()
            assert partitions(restarted) == had
            assert restarted.events("recovery_ended")[0]["records"] == 0, "its own folder holds the state"
            assert other.events("worker_ready") == generation, "the other one was disturbed"
            asyncio.run(until_sound(settings, turns, alive=other.assert_running))
        lines: list[str] = []
        asyncio.run(growth.grow(settings, 6, lines.append))
        assert lines[-1] == "all 6 partitions have an owner (2 workers)"
        asyncio.run(until_sound(settings, turns))


def test_of_two_workers_with_one_name_the_older_ends_as_fenced(settings: Settings, tmp_path: Path) -> None:
    older, newer = worker_of(settings, tmp_path, "w-0", "-older"), worker_of(settings, tmp_path, "w-0", "-newer")
    older.start().ready()
    with newer:
        newer.ready()
        assert older.wait() == FencedError.exit_code, older.text()[-3000:]
        (ended,) = older.events("worker_ended")
        assert ended["remedy"]
        older.assert_no_traceback()
        send(settings, "t1")
        asyncio.run(until_sound(settings, ["t1"], alive=newer.assert_running))
        assert len(newer.events("worker_ready")) == 1
