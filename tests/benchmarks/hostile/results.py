"""What was measured, as it is kept in JSON."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.results import Place


class Sample(Struct, frozen=True):
    """One look at the worker: seconds since its start, messages done with, resident memory in MB, and that part of it
    that no file backs."""

    seconds: float
    done: int
    rss_mb: float
    anon_mb: float


class Memory(Struct, frozen=True):
    """Over the second and the last third of the messages, since the first fills caches: means in MB, and the slope of a
    line through both, in MB for 100,000 messages."""

    second_third: float
    last_third: float
    largest: float
    slope: float

    @property
    def ratio(self) -> float:
        """Of the last third to the second."""
        return self.last_third / self.second_third


class Results(Place, frozen=True):
    """One run. `kinds`: messages sent of each kind; `becomes`: what had to become of them; `problems`: what did not,
    counted by kind."""

    load: float
    seed: int
    good: int
    bad: int
    messages: int
    megabytes: float
    partitions: int
    store: str
    kinds: dict[str, int]
    becomes: dict[str, int]
    seconds: float
    cpu_us: float
    """Processor time of the worker for a message, in microseconds."""
    longest_stand: float
    """Seconds in which a partition with records waiting did not move, at most."""
    memory: Memory
    samples: tuple[Sample, ...]
    problems: dict[str, int]
    examples: tuple[str, ...]
