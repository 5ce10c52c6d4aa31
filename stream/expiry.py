"""What the state forgets, by tombstones. Pending turns end an hour after the label horizon, so that a label read again
within that hour still finds its vote; conversations when nothing was said in them for a while."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from stream import state
from stream.metrics import Metrics
from stream.ownership import Ownership
from stream.partitions import Partition, now_ms
from stream.settings import Settings

SWEEP_SECONDS = 600.0
"""Between two looks at every pending record: against a horizon of days nobody misses ten minutes."""
GRACE_MS = 3_600_000
CLAIM_SECONDS = 6 * 3600.0
"""The broker forgets a producer, and with it the fence, a day after its last record in a partition."""
TOGETHER = 500
"""Records looked at before the loop gets its turn (about 1 ms)."""

IsOver = Callable[[bytes], bool]
"""Of a record's value: may it go?"""


class Swept(NamedTuple):
    """How many records a sweep has looked at, and how many of them it has deleted."""

    seen: int = 0
    deleted: int = 0


async def expire_pending(
    ownership: Ownership, metrics: Metrics, horizon_seconds: float, every: float = SWEEP_SECONDS
) -> None:
    """For ever: delete pending records past their horizon from the partitions owned now."""
    while True:
        await asyncio.sleep(every)
        for partition in list(ownership.partitions.values()):
            over = scored_before(now_ms() - int(horizon_seconds * 1000) - GRACE_MS)
            decided = partition.decided
            swept = await sweep(partition, ownership, state.PENDING, over)
            metrics.expired.inc(swept.deleted)
            partition.waiting = swept.seen - swept.deleted - decided


async def expire_conversations(
    ownership: Ownership, metrics: Metrics, settings: Settings, every: float = SWEEP_SECONDS
) -> None:
    """For ever: delete idle conversations from the partitions owned now; all of them where they are switched off.

    Idle is counted here from when a turn was last decided, not from its timestamp, whose clock may be wrong: a worker
    that is more than `conversation_idle` behind may delete what a waiting turn would have gone on with."""
    idle_ms = int(settings.conversation_idle * 1000) if settings.conversations == "on" else 0
    while True:
        await asyncio.sleep(every)
        for partition in list(ownership.partitions.values()):
            over = written_before(now_ms() - idle_ms)
            swept = await sweep(partition, ownership, state.CONVERSATION, over)
            metrics.conversations_expired.inc(swept.deleted)


def scored_before(at_ms: int) -> IsOver:
    """Pending records of turns decided before `at_ms` (ms since 1970)."""
    return lambda value: state.decode_pending_age(value).scored_at_ms < at_ms


def written_before(at_ms: int) -> IsOver:
    """Conversations whose last turn was decided before `at_ms` (ms since 1970)."""
    return lambda value: state.decode_conversation_age(value).written_ms < at_ms


async def keep_claims(ownership: Ownership, every: float = CLAIM_SECONDS) -> None:
    """For ever: write to every partition owned now, however idle, so that the broker remembers whose it is."""
    while True:
        await asyncio.sleep(every)
        for partition in list(ownership.partitions.values()):
            if ownership.owner_of(partition.number, partition.generation) is not None:
                await partition.write({state.CLAIM: ownership.claim_value})


async def sweep(partition: Partition, ownership: Ownership, prefix: bytes, over: IsOver) -> Swept:
    """Delete the records under `prefix` that are over. Ends early when the partition is given back."""
    generation, seen, deleted, old = partition.generation, 0, 0, list[bytes]()
    if ownership.owner_of(partition.number, generation) is None:
        return Swept()
    for seen, (key, value) in enumerate(partition.store.scan(prefix), 1):
        if over(value):
            old.append(key)
        if seen % TOGETHER == 0:
            deleted += await _delete(partition, old, over)
            old = []
            if ownership.owner_of(partition.number, generation) is not partition:
                return Swept(seen, deleted)
    return Swept(seen, deleted + await _delete(partition, old, over))


async def _delete(partition: Partition, keys: list[bytes], over: IsOver) -> int:
    """The store lags behind what is written: a record that is not over any more, or is gone, is left as it is."""
    still = [key for key in keys if (value := partition.get(key)) is not None and over(value)]
    if still:
        await partition.write(dict.fromkeys(still))
    else:
        await asyncio.sleep(0)
    return len(still)
