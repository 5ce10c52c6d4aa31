"""Counts over the last minutes, in slots of equal length: the newest push out the oldest, so memory is fixed."""

from __future__ import annotations

from collections.abc import Sequence


class Slots:
    """`count` slots of `seconds` each, with a number for each of `columns` in every slot.

    A slot is named by its number since 1970 (`at // seconds`). One in which nothing can be known, since the broker was
    away, is None until something is counted in it."""

    def __init__(self, seconds: int, count: int, columns: int) -> None:
        self.seconds = seconds
        self.count = count
        self.columns = columns
        self.newest = -1
        self.dirty: int | None = None
        """The oldest slot that changed since `clean`; None where none did."""
        self._rows: list[list[float] | None] = [None] * count

    @property
    def oldest(self) -> int:
        """The first slot that is kept."""
        return max(self.newest - self.count + 1, 0)

    def advance(self, now: float, known: bool = True) -> None:
        """Begin the slots up to that of `now` (seconds since 1970); `known` says whether they can be counted in."""
        slot = int(now // self.seconds)
        for fresh in range(max(self.newest + 1, slot - self.count + 1), slot + 1):
            self._rows[fresh % self.count] = [0.0] * self.columns if known else None
            self._touch(fresh)
        self.newest = max(self.newest, slot)

    def row(self, at: float) -> list[float] | None:
        """The numbers of the slot of a time, to be changed by the caller; a time to come counts as now. None before
        what is kept."""
        slot = min(int(at // self.seconds), self.newest)
        if slot < self.oldest:
            return None
        found = self._rows[slot % self.count]
        if found is None:
            found = self._rows[slot % self.count] = [0.0] * self.columns
        self._touch(slot)
        return found

    def rows(self, start: int) -> Sequence[list[float] | None]:
        """Those from slot `start` on, oldest first."""
        return [self._rows[slot % self.count] for slot in range(max(start, self.oldest), self.newest + 1)]

    def total(self, seconds: float, now: float) -> list[float]:
        """The sums over the whole slots of the last so many seconds, the one that has not ended left out."""
        last = int(now // self.seconds) - 1
        first = max(last - int(seconds // self.seconds) + 1, self.oldest)
        found = [self._rows[slot % self.count] for slot in range(first, min(last, self.newest) + 1)]
        return [sum(cells) for cells in zip(*(row for row in found if row is not None), strict=True)] or (
            [0.0] * self.columns
        )

    def clean(self) -> int:
        """The oldest slot that changed since this was asked last."""
        found, self.dirty = self.dirty, None
        return self.newest if found is None else max(found, self.oldest)

    def _touch(self, slot: int) -> None:
        if self.dirty is None or slot < self.dirty:
            self.dirty = slot
