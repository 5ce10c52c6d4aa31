"""Pending turns end: their tombstones are written an hour after the label horizon, so that a label read again within
that hour still finds its vote."""

import asyncio

from stream import state
from stream.metrics import Metrics
from stream.ownership import Ownership
from stream.partitions import Partition, now_ms

SWEEP_SECONDS = 600.0
"""Between two looks at every pending record: against a horizon of days nobody misses ten minutes."""
GRACE_MS = 3_600_000
CLAIM_SECONDS = 6 * 3600.0
"""The broker forgets a producer, and with it the fence, a day after its last record in a partition."""
TOGETHER = 500
"""Records looked at before the loop gets its turn (about 1 ms)."""


async def expire_pending(
    ownership: Ownership, metrics: Metrics, horizon_seconds: float, every: float = SWEEP_SECONDS
) -> None:
    """For ever: delete pending records past their horizon from the partitions owned now."""
    while True:
        await asyncio.sleep(every)
        for partition in list(ownership.partitions.values()):
            before = now_ms() - int(horizon_seconds * 1000) - GRACE_MS
            metrics.expired.inc(await sweep(partition, ownership, before))


async def keep_claims(ownership: Ownership, every: float = CLAIM_SECONDS) -> None:
    """For ever: write to every partition owned now, however idle, so that the broker remembers whose it is."""
    while True:
        await asyncio.sleep(every)
        for partition in list(ownership.partitions.values()):
            if ownership.owner_of(partition.number, partition.generation) is not None:
                await partition.write({state.CLAIM: b""})


async def sweep(partition: Partition, ownership: Ownership, before_ms: int) -> int:
    """Delete what was scored before `before_ms` (ms since 1970); returns how many. Ends early when the partition is
    given back."""
    generation, deleted, old = partition.generation, 0, list[bytes]()
    if ownership.owner_of(partition.number, generation) is None:
        return 0
    for seen, (key, value) in enumerate(partition.store.scan(state.PENDING), 1):
        if state.decode_pending(value).scored_at_ms < before_ms:
            old.append(key)
        if seen % TOGETHER == 0:
            deleted += await _delete(partition, old)
            old = []
            if ownership.owner_of(partition.number, generation) is not partition:
                return deleted
    return deleted + await _delete(partition, old)


async def _delete(partition: Partition, keys: list[bytes]) -> int:
    if keys:
        await partition.write(dict.fromkeys(keys))
    else:
        await asyncio.sleep(0)
    return len(keys)
