"""`make bench-sizes`: what a turn takes in the state, in the changelog and in the verdicts: the constants of
`deploy/capacity.md`. Seconds; no broker."""

from __future__ import annotations

import gc
import tempfile
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np

from ensemble import DEFENSIVE, Forecaster, zero
from experts.base import OK, Advice
from experts.taxonomy import RISKS
from stream import state
from stream.records import Turn
from stream.stores import MemoryStore, Stores
from stream.verdicts import Arrival, decide, verdict_lines

BATCH = 2_000
"""Turns decided together: as many as the worker takes."""
NOW_MS = 1_767_225_600_000


def records(count: int, experts: int) -> tuple[list[tuple[bytes, bytes]], float]:
    """The state records (key, value) of so many turns, and the mean size of their verdicts."""
    panel = tuple(f"expert-{number}@1" for number in range(experts))
    forecaster = Forecaster.of(zero(panel), DEFENSIVE, panel)
    draws, written, told = np.random.default_rng(7), list[tuple[bytes, bytes]](), 0
    for first in range(0, count, BATCH):
        arrivals = [_arrival(number) for number in range(first, min(first + BATCH, count))]
        rows, advice = range(len(arrivals)), _advice(draws, len(arrivals), experts)
        pendings = list(decide(arrivals, rows, advice, panel, forecaster, DEFENSIVE, NOW_MS))
        keys = [state.pending_key(arrival.turn.tenant, arrival.turn.turn_id) for arrival in arrivals]
        written += zip(keys, map(state.encode, pendings), strict=True)
        turns = [arrival.turn for arrival in arrivals]
        told += sum(map(len, verdict_lines(list(zip(turns, pendings, strict=True)), "aegis.turns.v1")))
    return written, told / count


def _arrival(number: int) -> Arrival:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    turn = Turn(f"turn-{number:016d}", f"conversation-{number // 8:010d}", "user", "text", at)
    return Arrival(turn, 0, number, NOW_MS, state.digest("user", f"text {number}"))


def _advice(draws: np.random.Generator, count: int, experts: int) -> Advice:
    """Every expert has an opinion, and on every tenth turn one risk is named."""
    risks = np.full((count, len(RISKS)), np.nan, np.float32)
    risks[::10, 0] = 0.5
    scores = draws.random((count, experts), np.float32)
    return Advice(scores, np.full((count, experts), OK, np.uint8), risks=risks)


def memory_of(written: Sequence[tuple[bytes, bytes]]) -> float:
    """Bytes of memory for each record in a store in memory: its dictionary, key and value."""
    gc.collect()
    tracemalloc.start()
    store = MemoryStore()
    store.apply(((bytes(bytearray(key)), bytes(bytearray(value))) for key, value in written), len(written))
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(written)


def disk_of(written: Sequence[tuple[bytes, bytes]], folder: Path) -> float:
    """Bytes on disk for each record in a rocksdict store that was closed."""
    store = Stores("rocksdict", folder, "bench", "changelog").open(0)
    for first in range(0, len(written), BATCH):
        store.apply(written[first : first + BATCH], first)
    store.close()
    return sum(path.stat().st_size for path in folder.rglob("*.sst")) / len(written)


@click.command()
@click.option("--turns", "count", default=200_000, show_default=True)
def main(count: int) -> None:
    """Bytes of a turn, for panels of several sizes."""
    click.echo("| experts | state key, bytes | pending record, bytes | verdict, bytes | in memory | on disk |")
    click.echo("|---|---|---|---|---|---|")
    for experts in (1, 3, 6, 12):
        written, told = records(count, experts)
        key, value = (sum(map(len, column)) / count for column in zip(*written, strict=True))
        with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
            disk = disk_of(written, Path(folder))
        cells = [f"{size:.0f}" for size in (key, value, told, memory_of(written), disk)]
        click.echo(f"| {experts} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
