"""Experts that do not keep up make lag; every turn still gets its one verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from support.fake_worker import CHOSEN, GATE, waiting
from support.flow import Flow, flowing, turn, unique

TURNS = 3000
TEXT = "x" * 2000
PARTITIONS = 2


async def lag(flow: Flow) -> int:
    """Turns in the topic that the group has not committed."""
    group = flow.settings.app_id
    consumer = AIOKafkaConsumer(bootstrap_servers=flow.settings.broker, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(flow.names.turns, number) for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
        return sum([ends[each] - (await consumer.committed(each) or 0) for each in partitions])
    finally:
        await consumer.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gate") / "open"


@pytest.fixture(scope="module")
def held(broker: str, gate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    environ = {CHOSEN: "gated,0.5", GATE: str(gate)}
    folder = tmp_path_factory.mktemp("held")
    with flowing(broker, folder, environ=environ, partitions=PARTITIONS, expert_timeout=600.0) as flow:
        yield flow


async def test_turns_wait_in_the_broker_while_an_expert_is_held_up_and_each_gets_one_verdict_afterwards(
    held: Flow, gate: Path
) -> None:
    names = [unique("over") for _ in range(TURNS)]
    await held.turns(*(turn(name, text=f"{name} {TEXT}") for name in names))
    async with asyncio.timeout(60.0):
        while not waiting(gate).exists():
            held.worker.assert_running()
            await asyncio.sleep(0.05)
    assert await lag(held) == TURNS
    await asyncio.to_thread(gate.touch)
    for verdict in await held.verdicts(*names):
        assert [opinion.status for opinion in verdict.experts] == ["ok", "ok"]
    await held.sound(names)
