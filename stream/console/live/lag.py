"""How far the workers are behind in each partition, who owns it, and whether it gets better."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

TREND: Final = 60
"""Looks that are kept: two minutes at one every two seconds."""
SPARK: Final = 24
"""Points of them that are sent: what a line as long as a word can show."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the broker said at one moment, by partition. `committed` has those with an offset of the group; `owners` a
    worker's name; `workers`: (name, host) of each member."""

    at: float
    ends: Mapping[int, int]
    starts: Mapping[int, int]
    committed: Mapping[int, int]
    label_ends: Mapping[int, int]
    label_starts: Mapping[int, int]
    label_committed: Mapping[int, int]
    owners: Mapping[int, str]
    workers: tuple[tuple[str, str], ...]
    group_state: str


@dataclass(slots=True)
class Lag:
    """The newest look, and how each partition's lag has moved."""

    look: Look | None = None
    totals: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=TREND))
    """(seconds since 1970, turns that wait)."""
    _trends: dict[int, deque[int]] = field(default_factory=dict)

    def take(self, look: Look) -> None:
        """The next look."""
        self.look = look
        waiting = _behind(look.ends, look.starts, look.committed)
        for partition, behind in waiting.items():
            self._trends.setdefault(partition, deque(maxlen=TREND)).append(behind)
        self.totals.append((look.at, sum(waiting.values())))

    @property
    def turns(self) -> int:
        """Turns that wait for a verdict."""
        return self.totals[-1][1] if self.totals else 0

    @property
    def labels(self) -> int:
        """Labels that wait to be learned."""
        look = self.look
        return sum(_behind(look.label_ends, look.label_starts, look.label_committed).values()) if look else 0

    @property
    def unowned(self) -> int:
        """Partitions that nobody works on."""
        return sum(partition not in self.look.owners for partition in self.look.ends) if self.look else 0

    def growing(self, seconds: float) -> bool:
        """Has it grown all the time for so long, from look to look?"""
        if not self.totals or self.totals[-1][0] - self.totals[0][0] < seconds:
            return False
        since = self.totals[-1][0] - seconds
        late = [waiting for at, waiting in self.totals if at >= since]
        return len(late) > 2 and all(after > before for before, after in pairwise(late))

    def told(self) -> dict[str, Any]:
        """A row a partition, by number, and the workers with how many each owns."""
        look = self.look
        if look is None:
            return {"partitions": [], "workers": [], "state": "", "turns": 0, "labels": 0, "trend": []}
        behind = _behind(look.ends, look.starts, look.committed)
        labels = _behind(look.label_ends, look.label_starts, look.label_committed)
        owned = list(look.owners.values())
        return {
            "partitions": [
                {
                    "partition": partition,
                    "turns": behind[partition],
                    "labels": labels.get(partition, 0),
                    "end": look.ends[partition],
                    "owner": look.owners.get(partition),
                    "trend": _thinned(self._trends[partition]),
                }
                for partition in sorted(look.ends)
            ],
            "workers": [{"name": name, "host": host, "partitions": owned.count(name)} for name, host in look.workers],
            "state": look.group_state,
            "turns": self.turns,
            "labels": self.labels,
            "trend": _thinned([waiting for _, waiting in self.totals]),
        }


def _behind(ends: Mapping[int, int], starts: Mapping[int, int], committed: Mapping[int, int]) -> dict[int, int]:
    """Records between the committed offset and the end; without an offset, all that are there."""
    return {number: max(end - committed.get(number, starts.get(number, 0)), 0) for number, end in ends.items()}


def _thinned(values: deque[int] | list[int]) -> list[int]:
    """The newest is always among them."""
    step = max(1, -(-len(values) // SPARK))
    return list(values)[::-step][::-1]
