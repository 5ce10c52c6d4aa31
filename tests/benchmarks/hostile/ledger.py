"""What must become of every message, kept as a digest and a code each, and what was found in the topics.

Ten bytes a message: the messages themselves are never all in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec

from benchmarks.hostile.messages import EARLY, JUDGED, LEARNED, REPEATED, Message
from stream import state
from stream.dead_letters import OFFSET, PARTITION, REASON, TOPIC
from stream.letters import ABOUT
from stream.records import Source

SHOWN = 5
"""Problems of one kind that are told with their place."""


class Told(msgspec.Struct):
    """What is read of a verdict."""

    turn_id: str
    source: Source


_verdicts = msgspec.json.Decoder(Told)


@dataclass
class Shelf:
    """One partition of an input: by offset, a code, a digest, and how often it was found."""

    codes: array[int] = field(default_factory=lambda: array("B"))
    digests: array[int] = field(default_factory=lambda: array("Q"))
    found: array[int] = field(default_factory=lambda: array("B"))


class Problems:
    """What is wrong, counted by kind, with a few places of each; no text."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lines: list[str] = []

    def add(self, kind: str, where: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN:
            self.lines.append(f"{kind}: {where}")


class Ledger:
    """Written while the topics are filled, then held against what stands in the outputs."""

    def __init__(self, topics: dict[str, str]) -> None:
        """`topics`: short name of an input to its full name."""
        self._short = {full: short for short, full in topics.items()}
        self._shelves: dict[tuple[str, int], Shelf] = {}
        self._codes: list[str] = []
        self._code_of: dict[str, int] = {}
        self._turns: dict[int, tuple[int, int]] = {}  # of the last good turns: number to partition and offset
        self._verdicts: dict[int, array[int]] = {}  # by partition: verdicts that must come of each offset
        self._votes: dict[int, array[int]] = {}  # by partition: labels learned of each offset
        self._first: dict[tuple[int, int], int] = {}
        self._early: set[int] = set()
        self._known: set[int] = set()
        self._pending_found = 0
        self.kinds: Counter[str] = Counter()
        self.becomes: Counter[str] = Counter()
        self.problems = Problems()

    def note(self, message: Message) -> None:
        """A message that is sent to the next offset of its partition."""
        shelf = self._shelves.setdefault((message.topic, message.partition), Shelf())
        code = self._code_of.setdefault(message.becomes, len(self._codes))
        if code == len(self._codes):
            self._codes.append(message.becomes)
        offset, mark = len(shelf.codes), digest(message.key, message.value, message.headers)
        if message.becomes == JUDGED:  # what its verdicts must tell
            mark = digest(message.key, b"turn-%d" % message.again, [])
        shelf.codes.append(code)
        shelf.digests.append(mark)
        shelf.found.append(0)
        self.kinds[message.kind] += 1
        self.becomes[message.becomes] += 1
        if message.topic == "turns":
            self._note_turn(message, offset)
        elif message.becomes in (LEARNED, EARLY):
            (self._early if message.becomes == EARLY else self._known).add(mark)
        if message.becomes == LEARNED:
            partition, at = self._turns[message.again]
            self._votes[partition][at] += 1

    def _note_turn(self, message: Message, offset: int) -> None:
        expected = self._verdicts.setdefault(message.partition, array("H"))
        expected.append(1 if message.becomes == JUDGED else 0)
        self._votes.setdefault(message.partition, array("B")).append(0)
        if message.becomes == JUDGED:
            self._turns[message.again] = (message.partition, offset)
            if len(self._turns) > 10_000:
                del self._turns[next(iter(self._turns))]
        elif message.becomes == REPEATED:
            partition, at = self._turns[message.again]
            self._verdicts[partition][at] += 1

    @property
    def letters(self) -> int:
        """Dead letters that must come."""
        return self.messages - sum(self.becomes[kind] for kind in NO_LETTERS)

    @property
    def verdicts(self) -> int:
        """Verdicts that must come, those published again among them."""
        return self.becomes[JUDGED] + self.becomes[REPEATED]

    @property
    def messages(self) -> int:
        return self.becomes.total()

    def sent(self, topic: str) -> dict[int, int]:
        """Messages by partition."""
        return {number: len(shelf.codes) for (name, number), shelf in self._shelves.items() if name == topic}

    # -- what stands in the outputs

    def letter(self, record: Any) -> None:
        """A dead letter: one that must be, once, with its reason and the source's bytes."""
        headers: list[tuple[str, bytes | None]] = record.headers() or []
        about = dict(headers[-len(ABOUT) :])
        where = f"dead letter {record.partition()}:{record.offset()}"
        topic = self._short.get((about[TOPIC] or b"").decode(), "")
        shelf = self._shelves.get((topic, int(about[PARTITION] or -1)))
        at = int(about[OFFSET] or -1)
        if shelf is None or not 0 <= at < len(shelf.codes):
            self.problems.add("a dead letter of nothing that was sent", where)
            return
        if self._codes[shelf.codes[at]] != (about[REASON] or b"").decode():
            got, wanted = (about[REASON] or b"").decode(), self._codes[shelf.codes[at]]
            self.problems.add(f"{got} in place of {wanted}", where)
        if digest(record.key(), record.value(), headers[: -len(ABOUT)]) != shelf.digests[at]:
            self.problems.add("a dead letter with other bytes than its source", where)
        if record.partition() != int(about[PARTITION] or -1):
            self.problems.add("a dead letter in another partition than its source", where)
        shelf.found[at] = min(255, shelf.found[at] + 1)

    def verdict(self, record: Any) -> None:
        """A verdict: of a good turn, and the same bytes each time."""
        told = _verdicts.decode(record.value())
        where = f"verdict {record.partition()}:{record.offset()}"
        place = (told.source.partition, told.source.offset)
        shelf = self._shelves.get(("turns", place[0]))
        if shelf is None or place[1] >= len(shelf.codes) or self._codes[shelf.codes[place[1]]] != JUDGED:
            self.problems.add("a verdict of no good turn", where)
            return
        shelf.found[place[1]] = min(255, shelf.found[place[1]] + 1)
        if digest(record.key(), told.turn_id.encode(), []) != shelf.digests[place[1]]:
            self.problems.add("a verdict of another turn than its source", where)
        mark = digest(record.key(), record.value(), [])
        if self._verdicts[place[0]][place[1]] > 1 and self._first.setdefault(place, mark) != mark:
            self.problems.add("a turn sent again has another verdict", where)

    def label(self, record: Any) -> None:
        """What stands in `labels` behind what was sent: only labels on their way."""
        shelf = self._shelves.get(("labels", record.partition()))
        if shelf is not None and record.offset() < len(shelf.codes):
            return
        mark = digest(record.key(), record.value(), [])
        if mark not in self._early and mark not in self._known:
            self.problems.add("a label that nobody sent", f"label {record.partition()}:{record.offset()}")

    def changelog(self, newest: Iterable[tuple[bytes, bytes | None]]) -> None:
        """The newest value of each key of a partition of the changelog."""
        for key, value in newest:
            kind = key[:1]
            if value is None or kind in (state.MOMENTS, state.CONVERSATION, state.CLAIM[:1]):
                continue
            if kind == state.PENDING:
                self._pending(state.decode_pending(value))
            elif kind == state.EARLY:
                early = state.decode_early(value)
                mark = digest(early.key, early.value, [])
                if mark not in self._early:
                    self.problems.add("an early label that nobody sent, or whose turn is there", "state")
            else:
                self.problems.add("a state record of no kind", "state")

    def _pending(self, pending: state.Pending) -> None:
        votes = self._votes[pending.partition][pending.offset]
        self._pending_found += 1
        if len(pending.votes) != votes:
            where = f"turn {pending.partition}:{pending.offset}"
            self.problems.add(f"{len(pending.votes)} votes in place of {votes}", where)

    def end(self) -> None:
        """What did not come, or came too often."""
        for (topic, number), shelf in self._shelves.items():
            for at, code in enumerate(shelf.codes):
                wanted = self._wanted(topic, number, at, self._codes[code])
                if shelf.found[at] != wanted:
                    self.problems.add(
                        f"{topic} {self._codes[code]}: {shelf.found[at]} outputs in place of {wanted}",
                        f"{topic} {number}:{at}",
                    )
        if self._pending_found != self.becomes[JUDGED]:
            self.problems.add(f"{self._pending_found} turns in the state, not {self.becomes[JUDGED]}", "state")

    def _wanted(self, topic: str, number: int, at: int, becomes: str) -> int:
        if becomes == JUDGED:
            return self._verdicts[number][at]
        return 0 if becomes in NO_LETTERS else 1


NO_LETTERS = (JUDGED, REPEATED, LEARNED, "learned before", EARLY)


def digest(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> int:
    """Eight bytes that tell two messages apart."""
    found = blake2b(digest_size=8)
    for part in (key, value, *(part for name, said in headers for part in (name.encode(), said))):
        found.update(b"-" if part is None else b"%d:" % len(part))
        found.update(part or b"")
    return int.from_bytes(found.digest(), "big")
