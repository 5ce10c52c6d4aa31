"""A worker that is told to end finishes what it has, leaves its group at once and exits 0, whatever it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from stream import broker as embedded
from stream import topics_admin
from stream.settings import Settings
from stream.topics import TopicNames
from support.broker import Namespace
from support.flow import made, record_of, turn
from support.kafka import Record, eventually, produce
from support.oracle import read_logs, until_sound
from support.worker_process import READY_SECONDS, WorkerProcess

DRAIN = 3.0
"""Seconds; the expert may take 10, and a member that does not answer is waited for for 4."""

NO_COORDINATOR = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Iterator[Settings]:
    with made(broker, tmp_path, partitions=2, session_timeout=4.0, heartbeat=0.5, drain_timeout=DRAIN) as settings:
        yield settings


def worker_of(settings: Settings, folder: Path, name: str = "worker", **environ: str) -> WorkerProcess:
    mine = settings.model_copy(update={"data_dir": folder / f"state-{name}"})
    return WorkerProcess(mine, folder / f"{name}.log", **environ)


def members(settings: Settings) -> int:
    admin = AdminClient({"bootstrap.servers": settings.broker})
    while True:
        (described,) = admin.describe_consumer_groups([settings.app_id]).values()
        try:
            return len(described.result(30).members)
        except KafkaException as error:  # a young broker's group has no coordinator yet; the test's limit ends this
            if error.args[0].code() not in NO_COORDINATOR:
                raise


def when(worker: WorkerProcess, event: str) -> None:
    """Returns when the worker has logged the event."""

    def logged() -> bool:
        worker.assert_running()
        return bool(worker.events(event))

    eventually(logged, READY_SECONDS, event)


def ends_well(worker: WorkerProcess) -> None:
    """Told to end, and told so again, it exits 0, and says why if it could not finish."""
    worker.process.terminate()
    worker.process.terminate()
    assert worker.wait() == 0, worker.text()[-3000:]
    assert worker.events("worker_stopped"), worker.text()[-3000:]


@pytest.mark.parametrize("event", ["worker_starting", "view_caught_up", "recovery_started", "worker_ready"])
def test_told_to_end_while_it_starts_recovers_or_works_it_leaves_and_exits_0(
    settings: Settings, tmp_path: Path, event: str
) -> None:
    if event == "recovery_started":  # enough for one that is still under way when the signal comes
        filling = [Record(b"x" * 500, b"fill-%d" % number, partition=number % 2) for number in range(10_000)]
        asyncio.run(produce(settings.broker, TopicNames.of(settings).changelog, filling))
    with worker_of(settings, tmp_path) as worker:
        when(worker, event)
        ends_well(worker)
        assert members(settings) == 0


def test_a_batch_that_an_expert_holds_is_finished_and_committed(settings: Settings, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with worker_of(settings, tmp_path, AEGIS_TEST_EXPERTS="gated", AEGIS_TEST_GATE=str(gate)) as worker:
        worker.ready()
        asyncio.run(send(settings, "t1"))
        eventually(gate.with_name("waiting").exists)
        worker.process.terminate()
        when(worker, "worker_stopping")
        gate.touch()
        assert worker.wait() == 0
    assert "reason" not in worker.events("worker_stopped")[0]
    logs = asyncio.run(read_logs(settings))
    assert len(logs.verdicts) == 1
    assert committed(settings) == 1
    assert members(settings) == 0


def test_a_batch_that_takes_longer_is_read_again_by_the_next_owner(settings: Settings, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with worker_of(settings, tmp_path, AEGIS_TEST_EXPERTS="gated", AEGIS_TEST_GATE=str(gate)) as worker:
        worker.ready()
        asyncio.run(send(settings, "t1"))
        eventually(gate.with_name("waiting").exists)
        ends_well(worker)
        assert worker.events("drain_incomplete")
        assert committed(settings) == 0
        assert members(settings) == 0
    gate.touch()
    with worker:
        asyncio.run(until_sound(settings, ["t1"], alive=worker.assert_running))


def test_told_to_end_in_a_rebalance_that_waits_for_another_worker(settings: Settings, tmp_path: Path) -> None:
    paused, told, new = (worker_of(settings, tmp_path, name) for name in ("paused", "told", "new"))
    try:
        paused.start().ready()
        told.start().ready()
        eventually(lambda: len(paused.events("worker_ready")) == 2, awaited="the two to share the partitions")
        paused.pause()
        new.start()  # joins, and the group waits for the paused one
        eventually(lambda: "because it is rebalancing" in told.text(), READY_SECONDS, "the rebalance")
        ends_well(told)
    finally:
        for worker in (paused, told, new):
            if worker.running:
                worker.kill()


def test_told_to_end_when_the_broker_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    running = embedded.start(folder, embedded.free_port())
    try:
        settings = Namespace.new().settings(running.bootstrap, partitions=2, drain_timeout=DRAIN)
        asyncio.run(topics_admin.create(settings))
        worker = worker_of(settings, tmp_path).start().ready()
        asyncio.run(send(settings, "t1"))
    finally:
        embedded.stop(folder, wait=0.1)
    ends_well(worker)


async def send(settings: Settings, turn_id: str) -> None:
    await produce(settings.broker, TopicNames.of(settings).turns, [record_of(turn(turn_id))])


def committed(settings: Settings) -> int:
    """The sum of the group's committed offsets of turns."""
    admin = AdminClient({"bootstrap.servers": settings.broker})
    (found,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(settings.app_id)]).values()
    offsets = found.result(30).topic_partitions
    return sum(tp.offset for tp in offsets if tp.topic == TopicNames.of(settings).turns)
