"""How weights and regret of one context moved, in a bounded number of points: when it is full, every second one goes,
and from then on only every second one comes in. So it always reaches back to the first."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.records import Weights

POINTS: Final = 96
"""Of one context: more than a chart of this width can tell apart; 10,000 contexts with six experts take 40 MB."""
MOST_EXPERTS: Final = 32
"""Whose weights are kept; a worker has a handful."""
FACTS: Final = ("at", "rounds", "loss", "regret", "bound")
AT, ROUNDS, LOSS, REGRET, BOUND = range(len(FACTS))


class History:
    """Points over time. `epoch`, in seconds since 1970, keeps times exact to hundredths in 32 bits."""

    __slots__ = ("_every", "_filled", "_points", "_seen", "epoch", "experts")

    def __init__(self, epoch: float) -> None:
        self.epoch = epoch
        self.experts: tuple[str, ...] = ()
        self._points: NDArray[np.float32] = np.empty((2, len(FACTS)), np.float32)
        self._filled = 0
        self._every = 1
        self._seen = 0

    def __len__(self) -> int:
        return self._filled

    def add(self, told: Weights) -> None:
        """The next thing that was published. The newest is always the last point, whether it stays or not."""
        keeps = self._seen % self._every == 0
        self._seen += 1
        place = self._filled if keeps or not self._filled else self._filled - 1
        if keeps and place == POINTS:
            self._thin()
            place = self._filled
        self._widen(told)
        if place >= len(self._points):
            grown = np.empty((min(len(self._points) * 2, POINTS), self._points.shape[1]), np.float32)
            grown[: self._filled] = self._points[: self._filled]
            self._points = grown
        weights = {standing.id: standing.weight for standing in told.experts}
        self._points[place] = [
            told.at.timestamp() - self.epoch,
            told.rounds,
            told.ensemble_loss,
            worst_regret(told),
            math.nan if told.bound is None else told.bound,
            *(weights.get(expert, math.nan) for expert in self.experts),
        ]
        self._filled = place + 1

    def _thin(self) -> None:
        kept = self._points[: self._filled : 2]
        self._points[: len(kept)] = kept.copy()
        self._filled = len(kept)
        self._every *= 2
        self._seen = 1  # the point that is added now is kept

    def _widen(self, told: Weights) -> None:
        """Columns for experts that are new; they had no weight before."""
        fresh = [standing.id for standing in told.experts if standing.id not in self.experts]
        fresh = fresh[: MOST_EXPERTS - len(self.experts)]
        if not fresh:
            return
        self.experts += tuple(fresh)
        wider = np.full((len(self._points), len(FACTS) + len(self.experts)), math.nan, np.float32)
        wider[:, : self._points.shape[1]] = self._points
        self._points = wider

    def told(self) -> dict[str, Any]:
        """Columns: `at` in seconds since 1970, the facts, and the weight of each expert; null where there was none."""
        points = self._points[: self._filled].astype(float)
        points[:, AT] += self.epoch
        columns = [[None if math.isnan(cell) else _short(cell) for cell in column] for column in points.T.tolist()]
        columns[AT] = [round(at, 2) for at in points[:, AT].tolist()]
        facts = dict(zip(FACTS, columns, strict=False))
        return {**facts, "experts": dict(zip(self.experts, columns[len(FACTS) :], strict=True))}


def worst_regret(told: Weights) -> float:
    """Regret to the best expert: what the bound speaks of."""
    return max((standing.regret for standing in told.experts), default=0.0)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
