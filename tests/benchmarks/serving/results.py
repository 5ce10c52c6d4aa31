"""What was measured, as it is kept in JSON."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.results import Place


class Run(Struct, frozen=True):
    """One contestant in one round."""

    contestant: str
    round: int
    seconds: float
    """For all texts."""
    texts_per_s: float
    processor_ms: float
    """Processor time a text, in milliseconds."""
    load: float
    """The machine's load average over the minute before."""


class Results(Place, frozen=True):
    """One benchmark: where, with what, and every run."""

    texts: int
    tokens: float
    """Mean tokens a text."""
    apart: float
    """The largest difference between any contestant's probability of a text and that of bare ONNX Runtime."""
    missing: dict[str, str]
    """Contestants that could not run here, and why."""
    runs: tuple[Run, ...]
