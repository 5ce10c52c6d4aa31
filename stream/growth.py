"""Raises the partitions of every topic while traffic runs.

Each step leaves topics that workers can run on, and the next run goes on where this one stopped: nothing is kept of a
growth but what the broker and the recorded counts say. The order is that of `contract`, the changelog first and turns
last. What is recorded before anything is raised: every number of partitions that turns have had and will have, since
labels look for their turn under each of them (`routing.candidates`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stream import groups
from stream.errors import TopicsError
from stream.producer import Producer
from stream.projection import count_record
from stream.settings import Settings
from stream.topics import Fit, TopicNames, contract
from stream.topics_admin import connected, counts_now, raise_partitions

POLL_SECONDS = 0.25
TELL_SECONDS = 5.0
"""Between two lines that say how far the workers are."""
PATIENCE = 120.0
"""Seconds without any progress of the workers. They hear of it within 5 s, and share out within a rebalance time-out of
30 s even when one of them does not answer."""

Say = Callable[[str], None]


async def grow(settings: Settings, partitions: int, say: Say) -> None:
    """Raises every topic to so many partitions, and returns when the workers own them, or when none runs.

    `say` gets a line for each step. Raises TopicsError when a topic is missing or has more already, when all have as
    many and their owners work, and when the workers do not come to own them; BrokerError when no broker answers.
    """
    async with connected(settings) as admin:
        counts = await counts_now(admin, settings)
        _refuse(settings, counts, partitions)
        owners = await _owners(admin, settings, partitions)
    if min(counts.values()) == partitions and (owners is None or not owners.missing):
        raise TopicsError(f"every topic has {partitions} partitions already: ask for more")
    await _record(settings, sorted({*counts.values(), partitions}), say)
    for name, count in counts.items():
        if count == partitions:
            say(f"{name}: has {partitions} partitions already")
            continue
        async with connected(settings) as admin:
            await raise_partitions(admin, name, partitions)
        say(f"{name}: partitions {count} -> {partitions}")
    await _await_owners(settings, partitions, say)


def _refuse(settings: Settings, counts: Mapping[str, int], partitions: int) -> None:
    wanted = [spec.name for spec in contract(settings) if spec.partitions_fit is Fit.EXACTLY]
    if missing := [name for name in wanted if name not in counts]:
        raise TopicsError(f"topic {missing[0]} does not exist: run `aegis topics create`")
    name, most = max(counts.items(), key=lambda count: count[1])
    if most > partitions:
        raise TopicsError(
            f"topic {name} has {most} partitions, and Kafka takes none away:"
            f" run `aegis topics grow --partitions {most}` or more"
        )


async def _record(settings: Settings, counts: list[int], say: Say) -> None:
    producer = Producer(settings)
    moments = TopicNames.of(settings).moments
    await producer.start([moments])
    try:
        await producer.append(moments, 0, [count_record(count) for count in counts])
    finally:
        await producer.stop()
    say(f"{moments}: recorded where turns can be ({', '.join(map(str, counts))} partitions)")


class _Owners:
    """How many workers the group has, and which partitions nobody has begun to work on."""

    def __init__(self, workers: int, missing: list[int]) -> None:
        self.workers = workers
        self.missing = missing


async def _owners(admin: AIOKafkaAdminClient, settings: Settings, partitions: int) -> _Owners | None:
    """None when no worker runs. An owner commits its inputs' offsets before it begins, also where they are 0."""
    workers, _ = await groups.workers(admin, settings.app_id)
    if not workers:
        return None
    names, begun = TopicNames.of(settings), (await groups.committed(admin, settings.app_id)).keys()
    whole = [{TopicPartition(names.turns, n), TopicPartition(names.labels, n)} <= begun for n in range(partitions)]
    return _Owners(workers, [number for number, is_owned in enumerate(whole) if not is_owned])


async def _await_owners(settings: Settings, partitions: int, say: Say) -> None:
    loop = asyncio.get_running_loop()
    moved, left = loop.time(), partitions + 1
    told = moved - TELL_SECONDS
    while True:
        async with connected(settings) as admin:
            owners = await _owners(admin, settings, partitions)
        now = loop.time()
        if owners is None:
            say(f"no worker of group {settings.app_id} runs: the next that starts owns all {partitions} partitions")
            return
        if not owners.missing:
            say(f"all {partitions} partitions have an owner ({owners.workers} workers)")
            return
        if len(owners.missing) < left:
            left, moved = len(owners.missing), now
        if now - moved > PATIENCE:
            raise TopicsError(
                f"{left} of {partitions} partitions have no owner after {PATIENCE:g} s: see the workers' logs, then run"
                " this again"
            )
        if now - told >= TELL_SECONDS:
            told = now
            say(f"{partitions - left} of {partitions} partitions have an owner ({owners.workers} workers) ...")
        await asyncio.sleep(POLL_SECONDS)
