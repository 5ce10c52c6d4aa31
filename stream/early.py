"""Labels whose turn is not known yet: kept, looked for again with growing pauses, and given up at the label horizon."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from ensemble.policy import CLASSES
from ensemble.votes import Vote, newest
from stream import state
from stream.codecs import MAX_LABEL_BYTES, Rejected, decode_label
from stream.ownership import Ownership
from stream.partitions import Partition, now_ms
from stream.producer import Outgoing, Producer
from stream.requests import milliseconds
from stream.routing import Journey

FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 1_000, 600_000
"""Most early labels are seconds ahead of their turn; a turn that is hours late is found within ten minutes."""
SWEEP_SECONDS = 1.0


class Said(NamedTuple):
    """One early label: when its search began, its clamped timestamp, and its key and bytes."""

    first_ms: int
    timestamp_ms: int
    key: bytes | None
    value: bytes

    def vote(self) -> Vote | None:
        """The vote that it will be; None when it is no label."""
        label = decode_label(self.value)
        if isinstance(label, Rejected):
            return None
        return Vote(CLASSES.index(label.label), min(milliseconds(label.labelled_at), self.timestamp_ms))


def all_said(early: state.Early) -> list[Said]:
    """The labels of a record, the newest first."""
    first = Said(early.first_ms, early.timestamp_ms, early.key, early.value)
    return [first, *(Said(*each) for each in early.beside)]


def kept_with(kept: state.Early | None, said: Said, journey: Journey, now_ms: int) -> state.Early | None:
    """The early record of an annotator with this label in it; None when enough newer ones are kept. As many are kept as
    votes are, so that a revocation finds what the revoked one had replaced; beside the newest they may take as much
    room as one label.

    The same label again makes the record another one: it has come home from a search, and the record that it left here
    is deleted when the broker has acknowledged its departure."""
    known = {vote: each for each in (all_said(kept) if kept is not None else ()) if (vote := each.vote()) is not None}
    mine = said.vote()
    assert mine is not None, "it was decoded before"
    known[mine] = said
    chosen, room = list[Said](), MAX_LABEL_BYTES
    for vote in newest(known):
        room -= len(known[vote].value) if chosen else 0
        if room >= 0:
            chosen.append(known[vote])
    if said not in chosen:
        return None
    top, *rest = chosen
    due = now_ms + pause_ms(journey.tries)
    beside: tuple[tuple[int, int, bytes | None, bytes], ...] = tuple(rest)
    return state.Early(
        state.SCHEMA_VERSION, top.first_ms, due, journey.tries, top.timestamp_ms, top.key, top.value, beside,
        journey.replays, journey.replayed,
    )  # fmt: skip


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
    await producer.append(
        labels, partition.number, [_record(record, said) for _, record in early for said in all_said(record)]
    )
    unchanged = [key for key, record in early if partition.get(key) == state.encode(record)]
    if unchanged and generation and partition.generation == generation:
        await partition.write(dict.fromkeys(unchanged))


def _record(early: state.Early, said: Said) -> Outgoing:
    journey = Journey((), said.first_ms, early.tries + 1, said.timestamp_ms, early.replays, early.replayed)
    # With the time that it came at: a worker whose clock is behind would else move the vote, which is clamped to it.
    return Outgoing(said.key, said.value, journey.headers(), said.timestamp_ms)


async def retry_early(ownership: Ownership, producer: Producer, labels: str) -> None:
    """For ever: look again for the turns of early labels that are due."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        for partition in list(ownership.partitions.values()):
            if ownership.owner_of(partition.number, partition.generation) is not None:
                await send_again(producer, labels, partition, list(partition.due_early(now_ms())))
