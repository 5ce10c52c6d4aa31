"""Turns, verdicts and labels a second, the mix of verdicts, and how long a verdict took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from stream.console.live.slots import Slots

SPAN: Final = 900
"""Seconds that are kept: long enough to see an incident begin, short enough to send whole to a browser."""
FINE: Final = 1
COARSE: Final = 5
"""Seconds of a slot of latency: at a turn a second, a slot still holds a few."""
COLUMNS: Final = ("turns", "safe", "needs_caution", "unsafe", "labels", "letters", "unscored")
TURNS, SAFE, CAUTION, UNSAFE, LABELS, LETTERS, UNSCORED = range(len(COLUMNS))
OF_LABEL: Final = {"safe": SAFE, "needs_caution": CAUTION, "unsafe": UNSAFE}

_RATIO: Final = 1.15
"""Of one bucket's bound to the next: quantiles are right to 7 %."""
BUCKETS: Final = 97
"""The last holds everything above 10 minutes."""
_LOG: Final = math.log(_RATIO)


def bucket_of(milliseconds: float) -> int:
    """Bucket 0 is up to a millisecond."""
    return min(math.ceil(math.log(milliseconds) / _LOG), BUCKETS - 1) if milliseconds > 1.0 else 0


def quantile(counts: Sequence[float], share: float) -> float | None:
    """Milliseconds below which `share` of what was counted lies; None of nothing."""
    total = sum(counts)
    if not total:
        return None
    left = share * total
    for bucket, count in enumerate(counts):
        left -= count
        if left <= 0.0:
            return _RATIO ** (bucket - 0.5) if bucket else 1.0
    return _RATIO ** (BUCKETS - 1)


class Traffic:
    """Counts by second, and latencies by slots of five."""

    def __init__(self) -> None:
        self.counts = Slots(FINE, SPAN // FINE, len(COLUMNS))
        self.latency = Slots(COARSE, SPAN // COARSE, BUCKETS)
        self.totals = [0] * len(COLUMNS)
        """Since the console began to read."""

    def advance(self, now: float, known: bool) -> None:
        """Let time pass; `known`: the broker answers."""
        self.counts.advance(now, known)
        self.latency.advance(now)

    def count(self, column: int, at: float, many: float = 1.0) -> None:
        """So many in the second of `at` (seconds since 1970)."""
        self.totals[column] += int(many)
        row = self.counts.row(at)
        if row is not None:
            row[column] += many

    def took(self, milliseconds: int, at: float) -> None:
        """A verdict came, after so long."""
        row = self.latency.row(at)
        if row is not None:
            row[bucket_of(milliseconds)] += 1.0

    def rate(self, columns: Sequence[int], seconds: float, now: float) -> float:
        """A second, over the last so many."""
        total = self.counts.total(seconds, now)
        return sum(total[column] for column in columns) / seconds

    def quantiles(self, seconds: float, now: float) -> tuple[float | None, float | None]:
        """The median and the 99th percentile in milliseconds; the slot that has not ended counts too."""
        start = int((now - seconds) // COARSE)
        rows = [row for row in self.latency.rows(start) if row is not None]
        counts = [sum(cells) for cells in zip(*rows, strict=True)]
        return quantile(counts, 0.5), quantile(counts, 0.99)

    def series(self, start: int) -> dict[str, Any]:
        """Counts from second `start` on: a list a column, null where the broker was away."""
        rows = self.counts.rows(start)
        found: dict[str, Any] = {
            name: [None if row is None else round(row[column], 2) for row in rows]
            for column, name in enumerate(COLUMNS)
        }
        return {"start": self.counts.newest - len(rows) + 1, **found}

    def latencies(self, start: int) -> dict[str, Any]:
        """Quantiles in milliseconds from slot `start` on; null where no verdict came."""
        rows = self.latency.rows(start)
        of = [(quantile(row or (), 0.5), quantile(row or (), 0.99)) for row in rows]
        return {
            "start": (self.latency.newest - len(rows) + 1) * COARSE,
            "step": COARSE,
            "p50": [_rounded(p50) for p50, _ in of],
            "p99": [_rounded(p99) for _, p99 in of],
        }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else float(f"{milliseconds:.3g}")
