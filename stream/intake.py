"""Which records of an input partition come next, and what may be committed. Facts in, orders out: no loop, no broker.

Around a rebalance Faust skips queued events, and a fetch that began before a seek can be delivered after it. So the
check stands where the work is done: a batch is processed only if it is the next one, and only what is durable moves the
offset to commit."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto


class Order(Enum):
    TAKE = auto()
    DROP = auto()
    SEEK_BACK = auto()


@dataclass(slots=True)
class Intake:
    """One input partition in one generation of the group.

    `next`: first offset not taken yet. `done`: first offset not processed yet, the one to commit. `seeks`: seeks back
    so far; a batch carries the number at the start of its fetch, so that one fetched before a seek is told from one
    fetched after it. `delivered`: offset after the last one handed to the agent. `done_ms`: the timestamp of the last
    record processed, 0 before the first."""

    generation: int
    next: int
    done: int
    seeks: int = 0
    seeking: bool = False
    delivered: int = 0
    done_ms: int = 0
    _stamps: deque[tuple[int, int]] = field(default_factory=deque)  # (offset, timestamp in ms) that a batch begins with
    _first: tuple[int, int] | None = None
    _idle_at: tuple[int, int] | None = None

    @classmethod
    def at(cls, generation: int, offset: int) -> "Intake":
        """A partition just assigned, whose consumer was just sent to `offset`."""
        return cls(generation, offset, offset, delivered=offset)

    def deliver(self, first: int, last: int, seeks: int, first_ms: int = 0) -> None:
        """A batch of offsets `first` to `last`, from a fetch that began after `seeks` seeks, is about to be handed to
        the agent; `first_ms` is the timestamp of its first record."""
        if self._first is None or self._first[0] != seeks:
            self._first = (seeks, first)
        self.delivered = last + 1
        self._stamps.append((first, first_ms))

    def take(self, first: int, last: int, seeks: int) -> Order:
        """May this batch be processed now? TAKE: its records from `next` on; then `taken` must follow. SEEK_BACK:
        records before it are missing, read again from `next`.

        A gap is a real one (retention, compaction) only when the very first fetch after a seek to `next` starts beyond
        it; other batches prove nothing."""
        if last < self.next:
            return Order.DROP
        if first <= self.next or self._is_real_gap(first, seeks):
            return Order.TAKE
        return Order.DROP if self.seeking or seeks != self.seeks else Order.SEEK_BACK

    def _is_real_gap(self, first: int, seeks: int) -> bool:
        return (
            self.seeks > 0
            and not self.seeking
            and seeks == self.seeks
            and self._first == (seeks, first)
            and self._sought == self.next
        )

    _sought: int = -1

    def taken(self, last: int) -> None:
        self.next = last + 1

    def seek_begins(self) -> int:
        """Returns the offset to seek to."""
        self.seeking = True
        self._sought = self.next
        return self.next

    def seek_done(self) -> None:
        self.seeks += 1
        self.seeking = False
        self.delivered = self.next
        self._stamps.clear()

    def processed(self, last: int, last_ms: int = 0) -> None:
        """Everything that offsets up to `last`, whose timestamp is `last_ms`, caused is durable. Work finishes in
        offset order in a partition; anything else is a bug."""
        if last + 1 < self.done:
            raise AssertionError(f"offset {last} was processed after {self.done - 1}")
        self.done, self.done_ms = last + 1, last_ms
        while len(self._stamps) > 1 and self._stamps[1][0] <= self.done:
            self._stamps.popleft()

    def oldest_ms(self) -> int | None:
        """About when the oldest record that is not done came, never after it where timestamps do not fall; None while
        none was delivered that holds it. It came after the last one done, and after the first of its batch."""
        if not self._stamps or not self._stamps[0][0] <= self.done < self.delivered:
            return None
        return max(self._stamps[0][1], self.done_ms)

    def is_hole_at_rest(self) -> bool:
        """For a timer: was something delivered that never arrived? True when that was so at the last call too and
        nothing has moved since."""
        here = (self.next, self.delivered)
        stuck = self.delivered > self.next and not self.seeking and self._idle_at == here
        self._idle_at = here
        return stuck

    def validate(self) -> None:
        """The invariants, for tests to call after every step."""
        assert 0 <= self.done <= self.next, self
