"""What was measured of the live page, as it is kept in JSON."""

from __future__ import annotations

from statistics import mean, median

from msgspec import Struct

from benchmarks.results import Place

BLOCKED_MS = 100.0
"""A person notices from here on."""
FLAT = 1.15
"""Last third over second third, at most: both breathe with what the collectors leave."""


class Sample(Struct, frozen=True):
    """Some seconds of the page: megabytes, shares of a processor, milliseconds. `long_ms`: tasks over 50 ms on the
    page's main thread, by the clock; `spent_ms`: the most processor time that one task took; `late_ms`: the latest that
    its timer was."""

    at: float
    heap_mb: float
    console_mb: float
    console_cpu: float
    long_ms: tuple[float, ...]
    spent_ms: float
    late_ms: float
    nodes: int


class Results(Place, frozen=True):
    """One run."""

    load: float
    contexts: int
    per_second: int
    written: int
    seconds: float
    samples: tuple[Sample, ...]

    @property
    def longest_ms(self) -> float:
        """The longest task on the page's main thread by the clock; 0: none was over 50 ms."""
        return max((task for sample in self.samples for task in sample.long_ms), default=0.0)

    @property
    def spent_ms(self) -> float:
        """The most processor time that one task took there: where more runs than there are cores, the clock measures
        the neighbours, and this is what the page can answer for."""
        return max(sample.spent_ms for sample in self.samples)

    @property
    def heap_ratio(self) -> float:
        """The least heap of the last third over that of the second: what no collection has freed."""
        last, second = (min(sample.heap_mb for sample in part) for part in self._thirds())
        return last / second

    @property
    def console_ratio(self) -> float:
        """The console's memory, likewise, in the mean."""
        last, second = (mean(sample.console_mb for sample in part) for part in self._thirds())
        return last / second

    @property
    def cpu(self) -> float:
        """The console's share of a processor, in the median."""
        return median(sample.console_cpu for sample in self.samples)

    def _thirds(self) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
        third = max(1, len(self.samples) // 3)
        return self.samples[-third:], self.samples[-2 * third : -third] or self.samples[:third]

    @property
    def kept(self) -> bool:
        """Whether all that is promised was kept."""
        return self.spent_ms <= BLOCKED_MS and max(self.heap_ratio, self.console_ratio) <= FLAT
