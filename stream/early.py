"""Labels whose turn is not known yet: kept, looked for again with growing pauses, and given up at the label horizon."""

import asyncio
from collections.abc import Sequence

from stream import state
from stream.ownership import Ownership
from stream.partitions import Partition, now_ms
from stream.producer import Outgoing, Producer
from stream.routing import Journey

FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 1_000, 600_000
"""Most early labels are seconds ahead of their turn; a turn that is hours late is found within ten minutes."""
SWEEP_SECONDS = 1.0


def pause_ms(tries: int) -> int:
    """Until a label that was looked for `tries` times is looked for again."""
    return min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(tries, 20))


async def send_again(
    producer: Producer, labels: str, partition: Partition, early: Sequence[tuple[bytes, state.Early]]
) -> None:
    """Publish early labels to `labels` again and forget them once the broker has them. Votes are idempotent, so a crash
    in between changes nothing."""
    if not early:
        return
    generation = partition.generation
    await producer.append(labels, partition.number, [_record(record) for _, record in early])
    unchanged = [key for key, record in early if partition.get(key) == state.encode(record)]
    if unchanged and generation and partition.generation == generation:
        await partition.write(dict.fromkeys(unchanged))


def _record(early: state.Early) -> Outgoing:
    tries = early.tries + 1
    journey = Journey((), early.first_ms, tries, early.timestamp_ms, early.replays, early.replayed)
    return Outgoing(early.key, early.value, journey.headers())


async def retry_early(ownership: Ownership, producer: Producer, labels: str) -> None:
    """For ever: look again for the turns of early labels that are due."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        for partition in list(ownership.partitions.values()):
            if ownership.owner_of(partition.number, partition.generation) is not None:
                await send_again(producer, labels, partition, list(partition.due_early(now_ms())))
