"""What was measured, as it is kept in JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct


def keep(output: Path, results: Struct, page: str) -> None:
    """Writes OUTPUT.json and OUTPUT.md."""
    output.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    output.with_suffix(".md").write_text(page, encoding="utf-8")


class Part(Struct, frozen=True):
    """What one worker of a group did, from the first turn's arrival on."""

    partitions: tuple[int, ...]
    turns: int
    cpu_s: float
    pause_ms: int
    """The longest time without a verdict of its own while it had turns left, the wait for the first one included."""


class Run(Struct, frozen=True):
    """One contestant in one round. Bytes are keys and values, of changelog record and verdict together."""

    contestant: str
    round: int
    turns: int
    seconds: float
    """From the first verdict in the log to the last record of either output, by the broker's clock."""
    turns_per_s: float
    cpu_us: float
    """Processor time of the contestant's process for a turn, in microseconds, from its first verdict on."""
    bytes_written: float
    """For a turn."""
    load: float
    """The machine's load average over the minute before."""
    broker_us: float | None = None
    """The broker's own processor time for a turn, over the same while; None for a broker that was not started here."""
    workers: tuple[Part, ...] = ()
    """Of a group."""


class Place(Struct, frozen=True):
    """Where and when a benchmark ran, by which command, and with what."""

    at: str
    command: str
    processor: str
    cores: int
    versions: dict[str, str]


class Results(Place, frozen=True):
    """One benchmark: where, with what, and every run."""

    turns: int
    turn_bytes: float
    """Mean size of a turn's value."""
    partitions: int
    runs: tuple[Run, ...]
