"""How each expert does: how often it answered, and which weight it had, over the last minutes."""

from __future__ import annotations

from typing import Any, Final

from stream.console.live.slots import Slots
from stream.console.live.traffic import COARSE, SPAN
from stream.console.live.wire import SeenOpinion

STATUSES: Final = ("ok", "timeout", "error", "abstained", "shadow")
_PLACE: Final = {status: place for place, status in enumerate(STATUSES)}
WEIGHT: Final = len(STATUSES)
"""The column of the sum of weights."""
MOST: Final = 64
"""Experts that are kept apart; a worker has a handful, and what comes beyond is left out."""
WINDOW: Final = 300.0
"""Seconds over which an expert is judged: long enough for a rate of one in a thousand at a few turns a second."""


class Advice:
    """By expert's name, in slots of five seconds."""

    def __init__(self) -> None:
        self._slots: dict[str, Slots] = {}
        self._versions: dict[str, str] = {}
        self._now = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Those that were seen, by name."""
        return tuple(sorted(self._slots))

    def advance(self, now: float) -> None:
        """Let time pass."""
        self._now = now
        for slots in self._slots.values():
            slots.advance(now)

    def take(self, opinions: tuple[SeenOpinion, ...], at: float) -> None:
        """What the experts said of one turn; `at` in seconds since 1970."""
        for opinion in opinions:
            slots = self._slots.get(opinion.name) or self._begin(opinion.name)
            if slots is None:
                continue
            self._versions[opinion.name] = opinion.version
            row = slots.row(at)
            place = _PLACE.get(opinion.status)
            if row is not None and place is not None:
                row[place] += 1.0
                row[WEIGHT] += opinion.weight

    def _begin(self, name: str) -> Slots | None:
        if len(self._slots) >= MOST:
            return None
        slots = self._slots[name] = Slots(COARSE, SPAN // COARSE, len(STATUSES) + 1)
        slots.advance(self._now)
        return slots

    def told(self, now: float) -> dict[str, dict[str, Any]]:
        """Of each expert over the window: its version, the turns it was asked about, their shares by status, and its
        mean weight on all of them."""
        found = {}
        for name in self.names:
            total = self._slots[name].total(WINDOW, now)
            turns = sum(total[:WEIGHT])
            found[name] = {
                "version": self._versions.get(name, ""),
                "turns": int(turns),
                "weight": round(total[WEIGHT] / turns, 4) if turns else None,
                **{status: round(total[place] / turns, 5) if turns else 0.0 for status, place in _PLACE.items()},
            }
        return found

    def clean(self) -> int:
        """The oldest slot in which anything changed since this was asked last."""
        return min((slots.clean() for slots in self._slots.values()), default=0)

    def weights(self, start: int) -> dict[str, Any]:
        """The mean weight of each expert from slot `start` on, of those that are kept; null where no turn came."""
        if not self._slots:
            return {"start": 0, "step": COARSE, "experts": {}}
        newest = max(slots.newest for slots in self._slots.values())
        start = max(start, newest - SPAN // COARSE + 1)
        return {
            "start": start * COARSE,
            "step": COARSE,
            "experts": {name: [_mean(row) for row in self._slots[name].rows(start)] for name in self.names},
        }


def _mean(row: list[float] | None) -> float | None:
    turns = sum(row[:WEIGHT]) if row is not None else 0.0
    return round(row[WEIGHT] / turns, 4) if row is not None and turns else None
