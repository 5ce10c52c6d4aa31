"""Partitions are raised while two workers run, and nothing that was scored before, meanwhile or after is lost."""

from __future__ import annotations

import asyncio
import itertools
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from stream import growth, projection, topics_admin
from stream.errors import TopicsError
from stream.records import LabelName, Source
from stream.settings import Settings
from stream.topics import TopicNames
from support.flow import label, made, record_of, total_votes, turn
from support.kafka import Record, eventually_async, produce
from support.logs import Logs
from support.oracle import until_sound
from support.worker_process import WorkerProcess

WORKERS = 2
LABELS: tuple[LabelName, ...] = ("safe", "needs_caution", "unsafe")


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Iterator[Settings]:
    with made(broker, tmp_path, partitions=4) as settings:
        yield settings


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[list[WorkerProcess]]:
    """Two of them, with partitions."""
    with ExitStack() as stack:
        workers = []
        for number in range(WORKERS):
            mine = settings.model_copy(update={"data_dir": tmp_path / f"state-{number}"})
            workers.append(stack.enter_context(WorkerProcess(mine, tmp_path / f"worker-{number}.log")))
        for worker in workers:
            worker.ready()
        yield workers


@dataclass
class Traffic:
    """Turns that never pause, and labels of turns of any age: some come before their turn, some are corrected, some
    name where the turn was scored; keys are hashed as Java's clients do, or as librdkafka does."""

    settings: Settings
    random: random.Random = field(default_factory=lambda: random.Random(7))
    epoch: int = 0
    sent: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Turn id to its epoch, and where it is."""
    labelled: set[str] = field(default_factory=set)

    async def run(self) -> None:
        names = TopicNames.of(self.settings)
        async with AIOKafkaProducer(bootstrap_servers=self.settings.broker, metadata_max_age_ms=500) as producer:
            for number in itertools.count():
                ids = [f"t{number}-{i}" for i in range(5)]
                await self._label(producer, names, ids[0])  # before its turn
                sent = [await self._send(producer, names.turns, record_of(turn(i)), i) for i in ids]
                for turn_id, future in zip(ids, sent, strict=True):
                    self.sent[turn_id] = self.epoch, await future
                for turn_id in self.random.sample(list(self.sent), 3):
                    await self._label(producer, names, turn_id)
                await asyncio.sleep(0.02)

    async def _label(self, producer: Any, names: TopicNames, turn_id: str) -> None:
        known = self.sent.get(turn_id)
        source = {}
        if known is not None and self.random.random() < 0.3:
            source = {"source": Source(known[1].topic, known[1].partition, known[1].offset)}
        says = self.random.choice(LABELS)
        said = label(turn_id, says, f"a{self.random.randrange(2)}", **source)
        await (await self._send(producer, names.labels, record_of(said), f"{turn_id}{said.annotator}"))
        self.labelled.add(turn_id)

    async def _send(self, producer: Any, topic: str, record: Record, name: str) -> Any:
        """By one hash or the other; which one depends on the name alone, so that a turn sent again would be alike."""
        assert record.key is not None
        count = len(await producer.partitions_for(topic))
        hashed = zlib.crc32(record.key) if zlib.crc32(name.encode()) % 2 else murmur2(record.key) & 0x7FFFFFFF
        return await producer.send(topic, record.value, record.key, partition=hashed % count)

    async def more(self) -> None:
        """Returns when a good deal more was sent."""
        enough = len(self.sent) + 60
        await eventually_async(lambda: len(self.sent) >= enough)


async def test_partitions_grow_twice_under_traffic_and_labels_of_every_epoch_find_their_turns(
    settings: Settings, workers: list[WorkerProcess]
) -> None:
    traffic, lines = Traffic(settings), list[str]()
    sending = asyncio.create_task(traffic.run())
    await traffic.more()
    for partitions in (6, 9):
        traffic.epoch += 1
        await growth.grow(settings, partitions, lines.append)
        assert f"all {partitions} partitions have an owner (2 workers)" in lines[-1], lines
        traffic.epoch += 1
        await traffic.more()
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending

    def alive() -> None:
        for worker in workers:
            worker.assert_running()

    logs, findings = await until_sound(settings, traffic.sent, alive=alive)
    labelled = [traffic.sent[turn_id][0] for turn_id in traffic.labelled]
    assert {*labelled} == {0, 1, 2, 3, 4}, "no labels for the turns of some epoch"
    assert findings.votes > 100
    assert {record.partition for record in logs.verdicts} == set(range(9))
    owned = [set(worker.events("worker_ready")[-1]["partitions"]) for worker in workers]
    assert sorted([*owned[0], *owned[1]]) == list(range(9)), owned
    assert {len(owned[0]), len(owned[1])} == {4, 5}
    recorded = {record.key for record in logs.moments if record.key.startswith(projection.COUNTS)}
    assert recorded == {b"c4", b"c6", b"c9"}
    assert [e for worker in workers for e in worker.events("partitions_incomplete")] == []


async def test_a_worker_that_starts_in_the_middle_of_a_growth_works_on_what_is_whole_and_takes_the_rest_later(
    settings: Settings, tmp_path: Path
) -> None:
    """Nobody ran under the first number of partitions: where its turns are is known by the growth alone."""
    names, before = TopicNames.of(settings), [f"b{i}" for i in range(20)]
    await produce(settings.broker, names.turns, [record_of(turn(i)) for i in before])
    async with topics_admin.connected(settings) as admin:
        await topics_admin.raise_partitions(admin, names.changelog, 7)
        await topics_admin.raise_partitions(admin, names.moments, 7)
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        assert worker.ready().events("worker_ready")[-1]["partitions"] == [0, 1, 2, 3]
        assert "goes on with a growth" in worker.events("topic_differs")[0]["remedy"]
        lines: list[str] = []
        await growth.grow(settings, 7, lines.append)
        assert lines[-1] == "all 7 partitions have an owner (1 workers)"
        after = [f"a{i}" for i in range(20)]
        await produce(settings.broker, names.turns, [record_of(turn(i)) for i in after])
        await produce(settings.broker, names.labels, [record_of(label(i)) for i in before + after])
        logs, _ = await until_sound(settings, before + after, also=all_labelled(40), alive=worker.assert_running)
        assert {record.partition for record in logs.labels} > {4, 5, 6}
        with pytest.raises(TopicsError, match="every topic has 7 partitions already"):
            await growth.grow(settings, 7, lines.append)


def all_labelled(votes: int) -> Callable[[Logs], bool]:
    return lambda logs: total_votes(logs.changelog) == votes
