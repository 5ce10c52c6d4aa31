"""Takes the text of a conversation or of a turn out of one partition's state, as an operator asked.

Text stands in two kinds of records: conversations, and early labels, whose bytes may hold anything. Of a conversation
both go. Of a turn, what was said goes out of the conversation that holds it, found by the turn's offset, its early
labels go, and its pending record goes, as if the label horizon had passed: a later label is `turn_not_found`. What its
votes taught stays in the sums, which hold nobody's words or name. The pending records of a conversation's turns stay
until the horizon: they hold no text and do not say whose they are."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from stream import state
from stream.codecs import Rejected, decode_label
from stream.conversations import cost
from stream.early import all_said
from stream.partitions import Partition
from stream.records import Erasure

TOGETHER = 500
"""Records looked at before the loop gets its turn (a few ms)."""
SETTLE_SECONDS = 60.0
"""For writes on their way: one that takes longer ends the worker elsewhere."""


@dataclass(slots=True)
class _Wanted:
    """What is to go, by the key of the request that says so."""

    records: dict[bytes, bytes] = field(default_factory=dict)
    """State key of a conversation or of an early label."""
    turns: dict[bytes, bytes] = field(default_factory=dict)
    """State key of a pending record."""
    offsets: dict[int, bytes] = field(default_factory=dict)
    """Where a turn stands."""
    conversations: dict[tuple[str, str], bytes] = field(default_factory=dict)


class Eraser:
    """`deciding` is held while a batch of turns is between its look at conversations and its writes; `committed` tells
    before which offset no turn of a partition is read again."""

    def __init__(self, deciding: asyncio.Lock, committed: Callable[[int], Awaitable[int]]) -> None:
        self._deciding = deciding
        self._committed = committed

    async def erase(
        self, partition: Partition, erasures: Mapping[bytes, Erasure], is_ours: Callable[[], bool]
    ) -> dict[bytes, int] | None:
        """How many records lost their text, by the key of the request. None when it must be tried again: the partition
        was given back, or one of the turns would be read again and decided anew if its record went now."""
        async with self._deciding:
            pass  # what was read before the request was known is written now
        if not await partition.settle(SETTLE_SECONDS) or not is_ours():
            return None
        wanted, counts = _wanted(partition, erasures), dict.fromkeys(erasures, 0)
        if wanted.offsets and max(wanted.offsets) >= await self._committed(partition.number):
            return None
        for found in _pieces(partition, wanted):
            async with self._deciding:
                if not is_ours():
                    return None
                cleaned = _cleaned(partition, found, wanted, counts)
                writing = partition.write(cleaned) if cleaned else asyncio.sleep(0)
            await writing
        if not is_ours():
            return None
        if gone := _gone(partition, wanted.turns, counts):  # last, since they tell where the turns stand
            await partition.write(gone)
        return counts


def _wanted(partition: Partition, erasures: Mapping[bytes, Erasure]) -> _Wanted:
    wanted = _Wanted()
    for request, erasure in erasures.items():
        if erasure.conversation_id is not None:
            place = erasure.tenant, erasure.conversation_id
            wanted.conversations[place] = request
            wanted.records[state.conversation_key(*place)] = request
        if erasure.turn_id is not None:
            key = state.pending_key(erasure.tenant, erasure.turn_id)
            wanted.records.update(dict.fromkeys(partition.early_of(erasure.tenant, erasure.turn_id), request))
            if (value := partition.get(key)) is not None:
                wanted.turns[key] = request
                wanted.offsets[state.decode_pending(value).offset] = request
    return wanted


def _pieces(partition: Partition, wanted: _Wanted) -> Iterator[list[bytes]]:
    """Keys of conversations and early labels of which something goes; pieces may be empty."""
    found, seen = list(wanted.records), 0
    if wanted.offsets:
        for seen, (key, value) in enumerate(partition.store.scan(state.CONVERSATION), 1):
            if not wanted.offsets.keys().isdisjoint(state.decode_conversation(value).offsets):
                found.append(key)
            if seen % TOGETHER == 0:
                yield found
                found = []
    if wanted.conversations:
        for seen, (key, value) in enumerate(partition.store.scan(state.EARLY), 1):
            if (request := _request_of(value, wanted)) is not None:
                wanted.records[key] = request
                found.append(key)
            if seen % TOGETHER == 0:
                yield found
                found = []
    yield found


def _request_of(early: bytes, wanted: _Wanted) -> bytes | None:
    for said in all_said(state.decode_early(early)):
        label = decode_label(said.value)
        if not isinstance(label, Rejected) and (label.tenant, label.conversation_id) in wanted.conversations:
            return wanted.conversations[label.tenant, label.conversation_id]
    return None


def _cleaned(
    partition: Partition, keys: list[bytes], wanted: _Wanted, counts: dict[bytes, int]
) -> dict[bytes, bytes | None]:
    """These records as they are to be now; those that hold nothing of it any more are left out."""
    gone = _gone(partition, {key: wanted.records[key] for key in keys if key in wanted.records}, counts)
    stripped: dict[bytes, bytes | None] = {}
    for key in keys:
        value = partition.get(key) if key not in wanted.records else None
        if value is not None:
            conversation = state.decode_conversation(value)
            for offset in conversation.offsets:
                if (request := wanted.offsets.get(offset)) is not None:
                    counts[request] += 1
            stripped[key] = state.encode(_without(conversation, wanted.offsets))
    return {**gone, **stripped}


def _gone(partition: Partition, keys: Mapping[bytes, bytes], counts: dict[bytes, int]) -> dict[bytes, bytes | None]:
    there = [key for key in keys if partition.get(key) is not None]
    for key in there:
        counts[keys[key]] += 1
    return dict.fromkeys(there)


def _without(conversation: state.Conversation, offsets: Mapping[int, bytes]) -> state.Conversation:
    kept = [
        (offset, said)
        for offset, said in zip(conversation.offsets, conversation.said, strict=True)
        if offset not in offsets
    ]
    said = tuple(said for _, said in kept)
    size = sum(cost(text) for _, text in said)
    return replace(conversation, offsets=tuple(offset for offset, _ in kept), said=said, size=size)
