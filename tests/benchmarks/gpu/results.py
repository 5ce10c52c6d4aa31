"""What was measured on a GPU, as it is kept in JSON."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.results import Place
from benchmarks.serving.results import Run


class Batches(Struct, frozen=True):
    """One session over the same prepared batches: the model, its copies to the GPU and back, and nothing else."""

    session: str
    round: int
    texts_per_s: float
    p50_ms: float
    """Of a batch, as is the next."""
    p99_ms: float


class Apart(Struct, frozen=True):
    """How far an expert's probabilities are from those in fp32 on the CPU, on the same texts."""

    expert: str
    session: str
    largest: float
    p99: float
    median: float


class Gpu(Struct, frozen=True):
    """The card, as its driver names it."""

    name: str
    driver: str
    memory_mib: int
    """Of the whole card."""
    free_mib: int
    """Used before anything was loaded."""
    panel_mib: int
    """Used by the panel after its first pass over all texts, CUDA's own context included."""


class Results(Place, frozen=True):
    """One benchmark: where, with what, and every run."""

    gpu: Gpu
    texts: int
    tokens: float
    """Mean tokens a text."""
    missing: dict[str, str]
    """Contestants that could not run here, and why."""
    apart: tuple[Apart, ...]
    batches: tuple[Batches, ...]
    runs: tuple[Run, ...]
