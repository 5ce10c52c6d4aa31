"""State that cannot be trusted is rebuilt, state that is gone is refused, and neither is passed over in silence."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from click.testing import CliRunner

from stream import state, topics_admin
from stream.__main__ import cli
from stream.errors import ChangelogCutError, StateError
from stream.settings import PREFIX, Settings
from stream.topics import TopicNames
from support.flow import Flow, label, made, record_of, turn
from support.kafka import Record, end_offsets, eventually, produce
from support.oracle import read_logs
from support.worker_process import WorkerProcess, environment

TURNS = 40


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Iterator[Settings]:
    with made(broker, tmp_path, partitions=2, session_timeout=6.0, heartbeat=2.0) as settings:
        yield settings


async def fill(settings: Settings, worker: WorkerProcess, name: str = "t") -> None:
    """Turns, half of them labelled, with all that follows from them."""
    flow = Flow(settings, TopicNames.of(settings), worker)
    await flow.turns(*(turn(f"{name}{i}") for i in range(TURNS)))
    await flow.labels(*(label(f"{name}{i}") for i in range(0, TURNS, 2)))
    await flow.sound(f"{name}{i}" for i in range(TURNS))


async def verdict(settings: Settings, worker: WorkerProcess, name: str) -> None:
    """It works."""
    flow = Flow(settings, TopicNames.of(settings), worker)
    await flow.turns(turn(name))
    await flow.verdicts(name)


def refusal(worker: WorkerProcess, error: type[StateError] = StateError) -> str:
    """The one line with which it ends by itself."""
    assert worker.start().wait() == error.exit_code
    (ended,) = worker.events("worker_ended")
    worker.assert_no_traceback()
    return str(ended["reason"])


async def cut(settings: Settings) -> None:
    """Deletes every record that the changelog has, as a retention time does on a topic that is not compacted."""
    name = TopicNames.of(settings).changelog
    ends = await end_offsets(settings.broker, name)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "delete"})])
        await admin.delete_records({TopicPartition(name, n): RecordsToDelete(end) for n, end in ends.items()})
    finally:
        await admin.close()
    await topics_admin.create(settings)  # as the contract asks again


def accepts_the_loss(settings: Settings) -> bool:
    """Whether the command had its way; a worker that ended by itself is in the group for a while."""
    ours = {name: value for name, value in environment(settings).items() if name.startswith(PREFIX)}
    done = CliRunner().invoke(cli, ["state", "accept-loss"], env=ours)
    assert done.exit_code == 0 or "has 1 members" in done.output, done.output
    return done.exit_code == 0


def test_a_cut_changelog_is_no_loss_to_whoever_has_it_all_and_otherwise_somebody_must_accept_it(
    settings: Settings, tmp_path: Path
) -> None:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    with worker:
        asyncio.run(fill(settings, worker.ready()))
    asyncio.run(cut(settings))
    with worker:
        assert worker.ready().events("recovery_ended")[-1]["records"] == 0
    shutil.rmtree(settings.data_dir)
    said = refusal(worker, ChangelogCutError)
    assert "the state here ends at -1" in said
    assert "aegis state accept-loss" in said
    eventually(lambda: accepts_the_loss(settings), awaited="the group without members")
    with worker:
        worker.ready()
        assert {event["partition"] for event in worker.events("changelog_cut")} == {0, 1}
        asyncio.run(verdict(settings, worker, "afterwards"))


async def write_of_the_future(settings: Settings) -> None:
    """Another version has claimed the partitions, and keeps a turn in a way of its own."""
    name = TopicNames.of(settings).changelog
    claim = msgspec.json.encode({"partitions": settings.partitions, "version": "99.1"})
    key, value = state.pending_key("default", "x"), msgspec.msgpack.encode([99, "otherwise"])
    records = [Record(claim, state.CLAIM, partition=0), Record(value, key, partition=0)]
    await produce(settings.broker, name, records)


def test_records_of_another_version_are_refused_with_the_version_to_run_before_anything_is_written(
    settings: Settings, tmp_path: Path
) -> None:
    asyncio.run(write_of_the_future(settings))
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    said = refusal(worker)
    assert "schema version 99" in said
    assert said.endswith("run the version that wrote it: aegis-stream 99.1")
    changelog = asyncio.run(read_logs(settings)).changelog
    assert {record.key for record in changelog if (record.partition, record.offset) > (0, 1)} <= {state.CLAIM}


async def make_anew(settings: Settings) -> None:
    """The changelog is deleted and made again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker)
    await admin.start()
    try:
        await admin.delete_topics([TopicNames.of(settings).changelog])
    finally:
        await admin.close()
    await topics_admin.create(settings)


def flip(database: Path) -> None:
    """Other bits in the middle of every table."""
    tables = list(database.glob("*.sst"))
    assert tables
    for table in tables:
        content = bytearray(table.read_bytes())
        for place in range(0, len(content) - 100, 64):
            content[place] ^= 0xFF
        table.write_bytes(content)


def truncate(database: Path) -> None:
    (manifest,) = database.glob("MANIFEST-*")
    manifest.write_bytes(b"")


def discarded(worker: WorkerProcess) -> set[int]:
    return {event["partition"] for event in worker.events("state_discarded")}


def test_a_state_that_is_damaged_or_of_something_else_is_read_from_the_changelog_again(
    settings: Settings, tmp_path: Path
) -> None:
    worker, folder = WorkerProcess(settings, tmp_path / "worker.log"), settings.data_dir
    with worker:
        asyncio.run(fill(settings, worker.ready()))
    flip(folder / "state-0")
    truncate(folder / "state-1")
    with worker:
        worker.ready()
        assert discarded(worker) == {0, 1}
        asyncio.run(fill(settings, worker, "u"))
        assert worker.events("moments_ahead") == []
    asyncio.run(make_anew(settings))
    with worker:
        worker.ready()
        assert {event["partition"]: "made anew" in event["reason"] for event in worker.events("state_discarded")} == {
            0: True,
            1: True,
        }
        ahead = {
            event["partition"]: event["told_of"] >= event["changelog_ends"] for event in worker.events("moments_ahead")
        }
        assert ahead == {0: True, 1: True}


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Callable[[int], object]]:
    """A file system of its own on the folder; yields what gives it another size."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    tried = subprocess.run(mount, capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no file system can be mounted here: {tried.stderr.strip()}")
    try:
        yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}m", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_ends_the_worker_with_one_line_and_with_room_it_goes_on_where_it_was(
    settings: Settings, tmp_path: Path
) -> None:
    names = [f"t{i}" for i in range(3500)]  # with what is kept of their conversations, 13 MB
    with small_disk(tmp_path / "disk", 3) as resize:
        full = settings.model_copy(update={"data_dir": tmp_path / "disk" / "state", "conversation_tokens": 2000})
        flow = Flow(full, TopicNames.of(full), WorkerProcess(full, tmp_path / "worker.log"))
        with flow.worker as worker:
            worker.ready()
            sent = (record_of(turn(name, random.randbytes(1750).hex()), partition=0) for name in names)
            asyncio.run(flow.send(flow.names.turns, *sent))
            assert worker.wait() == StateError.exit_code
            (ended,) = worker.events("worker_ended")
            assert "No space left on device" in ended["reason"]
            assert "make room" in ended["reason"]
        resize(200)
        with flow.worker as worker:
            worker.ready()
            asyncio.run(flow.sound(names))


def test_a_folder_that_cannot_be_written_is_refused_and_so_is_that_of_another_running_worker(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    nowhere = settings.model_copy(update={"data_dir": tmp_path / "file" / "state"})
    worker = WorkerProcess(nowhere, tmp_path / "nowhere.log").start()
    assert worker.wait() == StateError.exit_code
    (line,) = [line for line in worker.text().splitlines() if line.startswith("Error: ")]
    assert "set another AEGIS_DATA_DIR" in line
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        worker.ready()
        other = settings.model_copy(update={"app_id": f"{settings.app_id}-other"})
        asyncio.run(topics_admin.create(other))
        assert "open in another worker" in refusal(WorkerProcess(other, tmp_path / "other.log"))
