"""What was said before a turn: as its producer sends it in `history`, else as its partition remembers the conversation.

A conversation is one record of the state table: its last turns up to a budget. It is written in the record batch of the
decisions on the turns that it counts, so a turn is decided if and only if it is counted: one that is read again, or was
sent twice, is known by its pending record and counts no more. What a turn's history is follows from the topic alone,
from the turns before it in its partition and their timestamps, not from how they came in batches, nor from crashes.

Every turn counts, also one that brings its own history, so that a later one without finds it. A conversation whose
turns lie in several partitions (two clients that hash keys differently, or partitions that were added) has a record in
each, which know nothing of one another.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from stream import state
from stream.producer import MAX_BATCH_BYTES, RECORD_OVERHEAD
from stream.records import Turn
from stream.requests import Requests
from stream.settings import Settings

History = tuple[tuple[str, str], ...]
"""(role, text) of each turn before one, oldest first: what `experts.base.Passage.history` is."""
TOKEN_BYTES = 4
"""Of UTF-8: what a token of English is, and more than one of most other scripts."""
TURN_BYTES = 32
"""Of a kept turn besides its text: role, offset and lengths, rounded up. As tokens, what a chat template adds to it."""
HEAD_BYTES = 64
"""Of a conversation's record besides its turns, rounded up."""
NOTHING = state.Conversation(state.SCHEMA_VERSION, 0, 0, 0, (), ())
"""A conversation before its first turn."""


class Noted(Struct, frozen=True, gc=False):
    """A conversation under its state key, with the turns up to one of this batch."""

    key: bytes
    conversation: state.Conversation


class Stored(Protocol):
    """What is needed of `stream.partitions.Partition`."""

    @property
    def number(self) -> int: ...

    def get(self, key: bytes, /) -> bytes | None: ...


class Memory:
    """The conversations of one batch of turns, as they stand after the turns looked at so far; the state is read once
    for each. `now_ms`: our clock; `requests`: whose text must not be kept."""

    def __init__(self, settings: Settings, now_ms: int, requests: Requests) -> None:
        self._on = settings.conversations == "on"
        self._budget = settings.conversation_tokens * TOKEN_BYTES
        self._idle_ms = int(settings.conversation_idle * 1000)
        self._now_ms = now_ms
        self._requests = requests
        self._known: dict[tuple[int, str, str], Noted] = {}

    def recall(self, partition: Stored, turn: Turn, offset: int, timestamp_ms: int) -> tuple[History, Noted | None]:
        """The turns before one that is not decided yet, and the conversation to be written with its decision.

        None is to be written of a turn that a conversation has counted before: its decision was forgotten since (past
        the label horizon), or the topic was made anew, whose turns count again once the old ones are idle; nor of one
        whose text an operator wants forgotten."""
        sent = given(turn) if turn.history else ()
        if not self._on:
            return sent, None
        place = (partition.number, turn.tenant, turn.conversation_id)
        noted = self._known.get(place) or self._stored(partition, turn)
        before = noted.conversation
        if before.offsets and before.offsets[-1] >= offset:
            return sent or before.said[: bisect_left(before.offsets, offset)], None
        if self._requests.forgets_turn(turn, timestamp_ms):
            return sent or before.said, None
        if timestamp_ms - before.at_ms > self._idle_ms:
            before = NOTHING
        after = self._known[place] = Noted(noted.key, self._with(before, turn, offset, timestamp_ms))
        return sent or before.said, after

    def _stored(self, partition: Stored, turn: Turn) -> Noted:
        key = state.conversation_key(turn.tenant, turn.conversation_id)
        value = partition.get(key)
        return Noted(key, state.decode_conversation(value) if value is not None else NOTHING)

    def _with(self, before: state.Conversation, turn: Turn, offset: int, timestamp_ms: int) -> state.Conversation:
        """No turn takes more than half of the budget, so that a long one leaves room for the one before it."""
        text, taken = _beginning(turn.text, self._budget // 2 - TURN_BYTES)
        offsets, said, size = before.offsets, before.said, before.size + taken
        if size > self._budget:
            gone = 0
            while size > self._budget:
                size -= cost(said[gone][1])
                gone += 1
            offsets, said = offsets[gone:], said[gone:]
        at_ms = max(before.at_ms, timestamp_ms)
        offsets, said = (*offsets, offset), (*said, (turn.role, text))
        return state.Conversation(state.SCHEMA_VERSION, self._now_ms, at_ms, size, offsets, said)


def given(turn: Turn) -> History:
    """The history that the producer sent."""
    return tuple([(u.role, u.text) for u in turn.history])


def together(decided: Sequence[tuple[bytes, bytes, Noted | None]]) -> Iterator[dict[bytes, bytes | None]]:
    """State records of (pending key, pending record, what it notes), in writes that each fit one record batch: none
    parts a turn's decision from its place in its conversation. A conversation is written as its last turn in the write
    left it."""
    if not decided:
        return
    items: dict[bytes, bytes | None] = {key: value for key, value, _ in decided}
    noted = {note.key: note.conversation for _, _, note in decided if note is not None}
    if len(decided) > 1 and _size(decided, noted) > MAX_BATCH_BYTES:
        middle = len(decided) // 2
        yield from together(decided[:middle])
        yield from together(decided[middle:])
    else:
        items.update({key: state.encode(conversation) for key, conversation in noted.items()})
        yield items


def _size(decided: Sequence[tuple[bytes, bytes, Noted | None]], noted: dict[bytes, state.Conversation]) -> int:
    """Bytes in a record batch, at most."""
    pending = sum([len(key) + len(value) for key, value, _ in decided])
    said = sum([len(key) + conversation.size for key, conversation in noted.items()])
    return pending + said + RECORD_OVERHEAD * len(decided) + (RECORD_OVERHEAD + HEAD_BYTES) * len(noted)


def cost(text: str) -> int:
    """Bytes that a turn counts against the budget; in the record it takes no more."""
    return TURN_BYTES + (len(text) if text.isascii() else len(text.encode()))


def _beginning(text: str, most: int) -> tuple[str, int]:
    """As much of a text as `most` bytes of UTF-8 hold, since experts read a long text from its beginning, too; and what
    it costs."""
    if text.isascii():
        text = text[:most]
    elif len(text) * 4 > most:
        text = text.encode()[:most].decode(errors="ignore")
    return text, cost(text)
