"""What was measured of recoveries, as it is kept in JSON."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.results import Place


class Run(Struct, frozen=True):
    """One recovery of one contestant."""

    contestant: str
    round: int
    records: int
    """Changelog records that were read."""
    seconds: float
    """Of reading and applying them."""
    ready: float
    """From the start of the process (of a standby: from the kill of the owner) until it can work."""
    cpu_us: float
    """Processor time of the process for a record, in microseconds, while it recovered."""
    rss_mb: float
    """Resident memory when it was ready."""
    disk_mb: float
    load: float
    """The machine's load average over the minute before."""
    finished: bool = True
    """False where the time that it was given did not do; `records` is then how far it came."""


class Sweep(Struct, frozen=True):
    """One look of the expiry over every pending turn."""

    store: str
    records: int
    seconds: float
    stall_ms: float
    """The longest that the event loop was held meanwhile, by its thread's processor time."""
    rss_mb: float
    """Of the process that held the store, when it was filled."""


class Results(Place, frozen=True):
    """One benchmark: where, with what, and every run."""

    records: int
    record_bytes: float
    """Mean size of key and value."""
    partitions: int
    runs: tuple[Run, ...]
    sweeps: tuple[Sweep, ...]
