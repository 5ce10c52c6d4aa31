"""What was measured of the gateway, as it is kept in JSON."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.results import Place
from stream.gateway.shapes import Way


class Run(Struct, frozen=True):
    """One way under one load in one round: `callers` at a time, each with the next request when it has its answer.

    `p50`, `p99`: milliseconds from a request to its answer; `load`: the machine's load average of the minute before."""

    way: Way
    callers: int
    texts: int
    """In a request."""
    round: int
    requests: int
    texts_per_s: float
    p50: float
    p99: float
    load: float

    @property
    def contestant(self) -> str:
        return self.way


class Results(Place, frozen=True):
    """One benchmark: where, with what, and every run."""

    seconds: float
    """That each run lasted."""
    runs: tuple[Run, ...]
