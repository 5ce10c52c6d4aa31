"""A worker that starts again goes on where it was, and refuses to when it cannot know where that is."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from stream import projection, state, topics_admin
from stream.__main__ import cli
from stream.errors import OffsetsMissingError, TopicsError
from stream.settings import PREFIX, Settings
from stream.topics import TopicNames
from support.flow import Flow, label, made, turn
from support.kafka import consume_until, end_offsets
from support.oracle import read_logs
from support.worker_process import WorkerProcess, environment

TURNS = 40


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Iterator[Settings]:
    with made(broker, tmp_path, partitions=2, session_timeout=6.0, heartbeat=2.0) as settings:
        yield settings


def worker_of(settings: Settings, folder: Path) -> WorkerProcess:
    return WorkerProcess(settings, folder / "worker.log")


def aegis(settings: Settings, *arguments: str) -> None:
    """Runs the command as an operator would, under these settings."""
    ours = {name: value for name, value in environment(settings).items() if name.startswith(PREFIX)}
    done = CliRunner().invoke(cli, arguments, env=ours)
    assert done.exit_code == 0, done.output


async def fill(settings: Settings, worker: WorkerProcess, early: bool = True) -> None:
    """Turns, half of them labelled, and a label that waits for its turn if `early`."""
    flow = Flow(settings, TopicNames.of(settings), worker)
    await flow.turns(*(turn(f"t{i}") for i in range(TURNS)))
    waiting = [label("later")] if early else []
    await flow.labels(*(label(f"t{i}", "unsafe" if i % 4 else "safe") for i in range(0, TURNS, 2)), *waiting)
    await flow.sound(f"t{i}" for i in range(TURNS))


@pytest.mark.parametrize("kept", ["memory", "rocksdict", "rocksdict whose folder was lost"])
def test_a_worker_that_starts_again_recovers_and_publishes_nothing_twice(
    settings: Settings, tmp_path: Path, kept: str
) -> None:
    settings = settings.model_copy(update={"store": kept.split()[0]})
    with worker_of(settings, tmp_path) as worker:
        asyncio.run(fill(settings, worker.ready()))
    before = asyncio.run(read_logs(settings))
    if kept.endswith("lost"):
        shutil.rmtree(settings.data_dir)
    with worker:
        recovered = worker.ready().events("recovery_ended")[-1]["records"]
        assert recovered == (0 if kept == "rocksdict" else len(before.changelog))
        asyncio.run(go_on(settings, worker))
    after = asyncio.run(read_logs(settings))
    assert len(after.verdicts) == len(before.verdicts) + 1


async def go_on(settings: Settings, worker: WorkerProcess) -> None:
    """What was kept is known again: an old turn is labelled, and the turn comes whose label had waited."""
    flow = Flow(settings, TopicNames.of(settings), worker)
    await flow.labels(label("t1", "unsafe"))
    await flow.turns(turn("later"))
    await flow.pending("t1", lambda pending: bool(pending.votes))
    await flow.pending("later", lambda pending: bool(pending.votes))
    await flow.sound()


def test_a_new_policy_reads_the_same_moments_without_a_replay(settings: Settings, tmp_path: Path) -> None:
    names, context = TopicNames.of(settings), "default/user"
    with worker_of(settings, tmp_path) as worker:
        asyncio.run(fill(settings, worker.ready(), early=False))
        learned = asyncio.run(Flow(settings, names, worker).weights(context, lambda w: w.rounds == TURNS // 2))
        assert (learned.policy, learned.since_rounds) == ("permissive", 0)
    before = asyncio.run(read_logs(settings))
    defensive = settings.model_copy(update={"policy": "defensive"})
    with worker_of(defensive, tmp_path) as worker:
        worker.ready()
        told = asyncio.run(Flow(defensive, names, worker).weights(context, lambda w: w.policy == "defensive"))
    assert (told.rounds, told.since_rounds) == (TURNS // 2, TURNS // 2)
    assert told.experts[0].loss == 0.0  # regret is counted from the change on
    after = asyncio.run(read_logs(settings))
    known = {(record.partition, record.offset) for record in before.changelog}
    written = [record.key for record in after.changelog if (record.partition, record.offset) not in known]
    assert written == [state.CLAIM] * settings.partitions
    assert len(after.verdicts) == len(before.verdicts)


@pytest.mark.slow
def test_absent_and_impossible_offsets_are_refused_until_somebody_chooses_where_to_go_on(
    settings: Settings, tmp_path: Path
) -> None:
    with worker_of(settings, tmp_path) as worker:
        asyncio.run(fill(settings, worker.ready()))
    admin = AdminClient({"bootstrap.servers": settings.broker})
    (deleted,) = admin.delete_consumer_groups([settings.app_id]).values()
    deleted.result(30)
    refuses(worker, "no committed offset, but its state is not empty")
    assert members(admin, settings.app_id) == 0, "it ended without leaving its group"
    commit(admin, settings, 1_000_000)
    refuses(worker, "committed offset 1000000, but ends at")
    assert members(admin, settings.app_id) == 0
    aegis(settings, "topics", "seek", "--to", "latest")
    with worker:
        asyncio.run(go_on(settings, worker.ready()))


def refuses(worker: WorkerProcess, why: str) -> None:
    """The worker ends by itself with one line that names the remedy."""
    assert worker.start().wait() == OffsetsMissingError.exit_code
    (ended,) = worker.events("worker_ended")
    assert why in ended["reason"]
    assert "aegis topics seek --to earliest|latest" in ended["reason"]


def members(admin: Any, group: str) -> int:
    """How many the broker counts."""
    (described,) = admin.describe_consumer_groups([group]).values()
    return len(described.result(30).members)


def commit(admin: Any, settings: Settings, offset: int) -> None:
    """Commits an offset for every input partition in the workers' group, which must be empty."""
    topics = (TopicNames.of(settings).turns, TopicNames.of(settings).labels)
    offsets = [TopicPartition(topic, n, offset) for topic in topics for n in range(settings.partitions)]
    (altered,) = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(settings.app_id, offsets)]).values()
    assert not [tp.error for tp in altered.result(30).topic_partitions if tp.error]


def test_topics_that_are_not_the_contracts_are_refused_and_labels_find_their_turns_after_partitions_are_raised(
    settings: Settings, tmp_path: Path
) -> None:
    with worker_of(settings, tmp_path) as worker:
        asyncio.run(fill(settings, worker.ready()))
        asyncio.run(consume_until(settings.broker, TopicNames.of(settings).moments, knows_the_count))
    asyncio.run(raise_turns(settings, 5))
    worker = worker_of(settings, tmp_path)
    assert worker.start().wait() == TopicsError.exit_code
    (line,) = [line for line in worker.text().splitlines() if line.startswith("Error: ")]
    assert "has partitions=2 and needs 5: run `aegis topics grow --partitions 5`, which adds them" in line
    aegis(settings, "topics", "grow", "--partitions", "5")
    with worker:
        asyncio.run(label_old_turns(settings, worker.ready()))


async def raise_turns(settings: Settings, partitions: int) -> None:
    """As somebody does by hand who knows of no other topic."""
    async with topics_admin.connected(settings) as admin:
        await topics_admin.raise_partitions(admin, TopicNames.of(settings).turns, partitions)


def knows_the_count(records: list[Any]) -> bool:
    """Whether the number of partitions has been recorded, by which old turns are found later."""
    return any(record.key.startswith(projection.COUNTS) for record in records)


async def label_old_turns(settings: Settings, worker: WorkerProcess) -> None:
    """By a client that knows the new number of partitions and no `source`."""
    flow = Flow(settings, TopicNames.of(settings), worker)
    await flow.labels(*(label(f"t{i}", "safe", "late") for i in range(TURNS)))
    ends = await end_offsets(settings.broker, flow.names.labels)
    assert sum(offset for partition, offset in ends.items() if partition >= 2) > 0

    def learned(logs: Any) -> bool:
        newest = {r.key: r.value for r in logs.changelog if r.key[:1] == state.PENDING}
        return sum("late" in state.decode_pending(value).votes for value in newest.values()) == TURNS

    await flow.sound(also=learned)
