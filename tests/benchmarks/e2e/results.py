"""What was measured, as it is kept in JSON."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.results import Place


class Run(Struct, frozen=True):
    """All texts once: by the bare session, or from broker to verdicts."""

    contestant: str
    round: int
    seconds: float
    texts_per_s: float
    load: float
    """The machine's load average over the minute before."""


class Latency(Struct, frozen=True):
    """Turns that came at a rate, from the broker's timestamp of each to that of its verdict."""

    experts: str
    share: float
    """Of the capacity that was measured before."""
    rate: float
    """Turns a second, as they came."""
    turns: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class Results(Place, frozen=True):
    """One benchmark: where, with what, and every run."""

    texts: int
    tokens: float
    """Mean tokens a text."""
    source: str
    """Where the texts are from."""
    capacity: dict[str, float]
    """Turns a second of one worker, by its experts."""
    runs: tuple[Run, ...]
    latencies: tuple[Latency, ...]
