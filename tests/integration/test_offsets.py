"""`aegis topics seek` against a real broker: where a group goes on when its offsets are gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient

from stream import offsets
from stream.__main__ import cli
from stream.errors import OffsetsMissingError, TopicsError
from stream.settings import Settings
from stream.topics import TopicNames
from support.kafka import Record, consume_until, eventually, eventually_async, produce
from support.worker_process import WorkerProcess, environment

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z in ms
TURN = b'{"turn_id":"t%d","conversation_id":"c","role":"user","text":"x","sent_at":"2026-01-01T00:00:00Z"}'


@asynccontextmanager
async def member(settings: Settings, *topics: str) -> AsyncIterator[Any]:
    """A consumer of the group; with topics it joins, without it only reads and writes offsets."""
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=settings.broker, group_id=settings.app_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def commit(settings: Settings, wanted: dict[TopicPartition, int]) -> None:
    async with member(settings) as consumer:
        consumer.assign(list(wanted))
        await consumer.commit(wanted)


async def committed(settings: Settings) -> dict[tuple[str, int], int | None]:
    """By kind of topic and partition."""
    names = TopicNames.of(settings)
    async with member(settings) as consumer:
        return {
            (kind, number): await consumer.committed(TopicPartition(topic, number))
            for kind, topic in (("turns", names.turns), ("labels", names.labels))
            for number in range(settings.partitions)
        }


async def fill(settings: Settings, count: int = 10) -> None:
    """Records of one second each in partition 1 of turns."""
    stamped = [Record(b"x", partition=1, timestamp_ms=START + 1000 * second) for second in range(count)]
    await produce(settings.broker, TopicNames.of(settings).turns, stamped)


@pytest.mark.parametrize(
    ("to", "turns"),
    [
        ("earliest", 0),
        ("latest", 10),
        (datetime.fromtimestamp(START / 1000 + 3.5, UTC), 4),
        (datetime(2030, 1, 1, tzinfo=UTC), 10),
        (datetime(1960, 1, 1, tzinfo=UTC), 0),
    ],
)
async def test_every_missing_offset_is_set_to_the_place_asked_for(
    topics: Settings, to: offsets.Place, turns: int
) -> None:
    await fill(topics)
    lines = await offsets.seek(topics, to)
    assert len(lines) == 2 * topics.partitions
    assert f"{TopicNames.of(topics).turns}[1]: none -> {turns}" in lines
    expected = dict.fromkeys(await committed(topics), 0)
    assert await committed(topics) == {**expected, ("turns", 1): turns}


async def test_only_offsets_that_are_missing_or_behind_the_end_move_unless_all_are_asked_for(topics: Settings) -> None:
    names = TopicNames.of(topics)
    await fill(topics)
    await offsets.seek(topics, "latest")
    assert await offsets.seek(topics, "earliest") == []
    await commit(topics, {TopicPartition(names.turns, 1): 4, TopicPartition(names.labels, 2): 1_000_000})
    assert await offsets.seek(topics, "latest") == [f"{names.labels}[2]: 1000000 -> 0"]
    assert (await committed(topics))["turns", 1] == 4
    lines = await offsets.seek(topics, "latest", every=True)
    assert (len(lines), f"{names.turns}[1]: 4 -> 10" in lines) == (2 * topics.partitions, True)


async def test_a_group_with_members_is_refused_and_nothing_moves(topics: Settings) -> None:
    async with member(topics, TopicNames.of(topics).turns) as worker:
        await eventually_async(lambda: len(worker.assignment()) == topics.partitions, awaited="an assignment")
        with pytest.raises(
            TopicsError,
            match=r"has 1 members \(Stable\): stop its workers, then seek again \(.* counts for 10 s more\)",
        ):
            await offsets.seek(topics, "latest", every=True)
    assert set((await committed(topics)).values()) == {None}


async def test_a_worker_that_joins_meanwhile_is_not_moved_either(topics: Settings) -> None:
    """What `seek` relies on: the broker refuses offsets from outside while a group has members."""
    async with member(topics, TopicNames.of(topics).turns) as worker:
        await eventually_async(lambda: len(worker.assignment()) == topics.partitions, awaited="an assignment")
        with pytest.raises(KafkaError):
            await commit(topics, {TopicPartition(TopicNames.of(topics).turns, 0): 0})


def test_topics_that_are_not_there_are_one_line(settings: Settings) -> None:
    result = CliRunner(env=environment(settings)).invoke(cli, ["topics", "seek", "--to", "latest"])
    assert result.stderr == f"Error: topic {TopicNames.of(settings).turns} does not exist: run `aegis topics create`\n"
    assert result.exit_code == TopicsError.exit_code


@pytest.mark.slow
def test_a_worker_that_refuses_for_missing_offsets_runs_again_after_the_command_it_names(
    topics: Settings, tmp_path: Path
) -> None:
    settings, names = topics.model_copy(update={"session_timeout": 6.0, "heartbeat": 1.0}), TopicNames.of(topics)
    asyncio.run(produce(settings.broker, names.turns, [Record(TURN % number, b"c") for number in range(3)]))
    with WorkerProcess(settings, tmp_path / "log") as worker:
        worker.ready()
        before = asyncio.run(consume_until(settings.broker, names.verdicts, lambda read: len(read) == 3))
        assert worker.terminate() == 0
        admin = AdminClient({"bootstrap.servers": settings.broker})
        admin.delete_consumer_groups([settings.app_id])[settings.app_id].result(30)

        assert worker.start().wait() == OffsetsMissingError.exit_code
        assert "aegis topics seek --to earliest|latest" in worker.text()

        def sought() -> str:
            """The broker counts the worker as a member until its session has ended."""
            result = CliRunner(env=environment(settings)).invoke(cli, ["topics", "seek", "--to", "earliest"])
            assert result.exit_code == 0 or "seek again" in result.stderr
            return result.stdout

        assert eventually(sought, awaited="a group without members").count("none -> 0") == 2 * settings.partitions
        worker.start().ready()
        after = asyncio.run(consume_until(settings.broker, names.verdicts, lambda read: len(read) == 6))
    assert [record.value for record in after[3:]] == [record.value for record in before]
