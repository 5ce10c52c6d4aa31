"""What waits between two stages: bounded, so that a slow stage holds up the one before it, and in the end the caller.

Both kinds end in one way: after `close` nothing more goes in, what is in can still be taken, and then the taker is told
that nothing comes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """First in, first out, at most `limit` at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()

    @property
    def closed(self) -> bool:
        """Whether nothing goes in any more."""
        return self._closed

    def put(self, item: T, deadline: float | None = None) -> bool:
        """Wait until there is room; False if it was closed, or is still full at `deadline` (time.monotonic)."""
        with self._changed:
            patience = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._limit, patience)
            if self._closed or len(self._items) >= self._limit:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self) -> T | None:
        """The next item, once there is one; None once it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._items))
            item = self._items.popleft() if self._items else None
            self._changed.notify_all()
            return item

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Waiting(Protocol):
    """A passage made numbers: its padded length, its place in the order of coming, and whether its caller has left."""

    @property
    def length(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def departed(self) -> bool: ...


W = TypeVar("W", bound=Waiting)


class Pool(Generic[W]):
    """Passages of all callers, taken as batches of about one length; at most `limit` padded tokens, and one more put.

    The passage that has waited longest leads each batch, so none starves behind others of a better length.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[W] = []  # by length
        self._tokens = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, pieces: Sequence[W]) -> bool:
        """Wait until there is room, then put all in; False if it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._tokens < self._limit)
            if not self._closed:
                self._waiting.extend(pieces)
                self._waiting.sort(key=attrgetter("length"))
                self._tokens += sum(piece.length for piece in pieces)
                self._changed.notify_all()
            return not self._closed

    def take(self, budget: int, linger: float) -> list[W]:
        """The next batch, of at most `budget` padded tokens or one passage; [] once it is closed and empty.

        Once something waits, the batch waits `linger` seconds for more work at most, and no longer than until it is
        full. The departed are dropped.
        """
        with self._changed:
            self._wait(budget, linger)
            while not self._forget_departed() and not self._closed:
                self._wait(budget, linger)
            batch = self._cut(budget) if self._waiting else []
            self._changed.notify_all()
            return batch

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, budget: int, linger: float) -> None:
        self._changed.wait_for(lambda: self._closed or bool(self._waiting))
        if linger:
            self._changed.wait_for(lambda: self._closed or self._tokens >= budget, linger)

    def _forget_departed(self) -> bool:
        """Whether somebody is still waiting."""
        if any(piece.departed for piece in self._waiting):
            self._waiting = [piece for piece in self._waiting if not piece.departed]
            self._tokens = sum(piece.length for piece in self._waiting)
            self._changed.notify_all()
        return bool(self._waiting)

    def _cut(self, budget: int) -> list[W]:
        """From the oldest passage towards longer ones, then towards shorter ones, while the padded batch fits."""
        waiting = self._waiting
        start = min(range(len(waiting)), key=lambda place: waiting[place].number)
        stop = start + 1
        while stop < len(waiting) and (stop + 1 - start) * waiting[stop].length <= budget:
            stop += 1
        while start > 0 and (stop + 1 - start) * waiting[stop - 1].length <= budget:
            start -= 1
        batch = waiting[start:stop]
        del waiting[start:stop]
        self._tokens -= sum(piece.length for piece in batch)
        return batch
