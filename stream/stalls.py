"""Which input partition stands still though records wait in it. Facts in, an answer out: no loop, no clock.

A partition can silently stop being fetched. One that only waits for its turn is no such thing: the records fetched of
all partitions are worked off one after the other, and with slow experts and much waiting a round takes longer than any
time-out. So time counts only while nothing else of its topic moves, or while nothing is in work at all; and in the end
even a partition whose neighbours always move must have had its turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from faust.types import TP

ROUNDS: Final = 10
"""Times the time-out, after which nothing excuses a partition: a round of a mebibyte each of hundreds of partitions is
shorter."""


@dataclass(slots=True)
class _Standing:
    """A partition since it last moved: `done` then, at what time, and how long it stood without an excuse."""

    done: int
    since: float
    counted: float = 0.0


class Stalls:
    """Remembers since when each partition stands. `stall` in seconds."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._known: dict[TP, _Standing] = {}
        self._looked = 0.0

    def look(self, places: Mapping[TP, tuple[int, int]], at_rest: bool, now: float) -> TP | None:
        """`places`: of each partition what is done and where it ends. `at_rest`: nothing is in work. Returns a
        partition that has stood for too long, None while all is well. Idle topics stand still too, and are well."""
        passed, self._looked = now - self._looked, now
        self._known = {tp: standing for tp, standing in self._known.items() if tp in places}
        moved = {tp for tp, (done, _) in places.items() if tp in self._known and self._known[tp].done != done}
        moving = {tp.topic for tp in moved}
        for tp, (done, end) in places.items():
            if tp not in self._known or tp in moved or done >= end:
                self._known[tp] = _Standing(done, now)
                continue
            standing = self._known[tp]
            if at_rest or tp.topic not in moving:
                standing.counted += passed
            if standing.counted > self._stall or now - standing.since > ROUNDS * self._stall:
                return tp
        return None

    @property
    def longest(self) -> float:
        """Seconds without an excuse of the partition that has stood longest; 0 while all move."""
        return max((standing.counted for standing in self._known.values()), default=0.0)

    def stood(self, tp: TP, now: float) -> float:
        """Seconds since a partition last moved, or had nothing waiting; 0 for one not looked at yet."""
        return now - self._known[tp].since if tp in self._known else 0.0
