"""From measured recoveries to a page of Markdown. Pure: no clock, no broker."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from benchmarks.recovery.results import Results, Run, Sweep
from benchmarks.report import ratios_of, rounds_of, spread, where

BASE: Final = "aiokafka"
TITLES: Final = {
    "rocksdict-cold": "**worker, state on disk, empty folder**",
    "rocksdict-warm": "**worker, the same folder after a clean end**",
    "rocksdict-killed": "**worker, the same folder after a SIGKILL under load**",
    "memory-cold": "**worker, state in memory**",
    "takeover": "**takeover of half the partitions, no standby**",
    "takeover-standby": "**takeover of half the partitions by their standby**",
    "aiokafka": "bare aiokafka into a dictionary",
    "librdkafka": "bare librdkafka into a dictionary",
    "quixstreams": "quixstreams, RocksDB, its own recovery",
    "faust": "Faust as it comes, Table in memory, its own recovery",
}
HEAD: Final = """\
| contestant | records | s of reading | records/s | of aiokafka | CPU µs a record | ready after s | RSS MB | disk MB |
|---|---|---|---|---|---|---|---|---|"""
NOTES: Final = """\
Every record is a pending turn of six experts as a worker keeps it, or a claim. Seconds of reading are from the
assignment to the last record applied (of quixstreams and Faust, joining the group is in it); *ready* is from the start
of the process to the first turn that it could take, or, for a takeover, from the kill of the owner, whose session
time-out of 6 s is in it. CPU is that of the process while it recovered, not of the broker. Ratios are of records a
second, within a round. Memory is resident memory when it was ready. The worker checks the schema version of each
record; the bare loops look at nothing."""
SWEEP_HEAD: Final = """\
| state | pending turns | one look of the expiry, s | longest stall of the loop, ms | RSS MB, filled |
|---|---|---|---|---|"""


def render(results: Results) -> str:
    """The page."""
    shown = [key for key in TITLES if any(run.contestant == key for run in results.runs)]
    lines = [
        f"# Ready again with {results.records:,} pending turns",
        "",
        *where(results),
        f"{results.records:,} records of {results.record_bytes:.0f} bytes in {results.partitions} partitions, "
        f"{len(rounds_of(results.runs))} rounds, on a broker of the same machine.",
        "",
        HEAD,
        *(_row(results.runs, key) for key in shown),
        "",
        NOTES,
        "",
        *_unfinished(results.runs),
        "All in one partition and in one process, the expiry alone:",
        "",
        SWEEP_HEAD,
        *(_sweep(sweep) for sweep in results.sweeps),
    ]
    return "\n".join(lines) + "\n"


def rate(run: Run) -> float:
    """Records a second."""
    return run.records / run.seconds if run.seconds else 0.0


def _row(runs: Sequence[Run], key: str) -> str:
    mine = [run for run in runs if run.contestant == key]
    few = median(run.records for run in mine) < 1000  # then the time is not of records
    cells = [
        TITLES[key],
        spread((run.records for run in mine), "{:,.0f}"),
        spread((run.seconds for run in mine), "{:.1f}"),
        "–" if few else spread(map(rate, mine), "{:,.0f}"),
        "–" if few else "1" if key == BASE else spread(ratios_of(runs, key, BASE, rate), "{:.2f}"),
        "–" if few else f"{median(run.cpu_us for run in mine):.1f}",
        spread((run.ready for run in mine), "{:.1f}"),
        f"{median(run.rss_mb for run in mine):.0f}",
        f"{median(run.disk_mb for run in mine):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _unfinished(runs: Sequence[Run]) -> list[str]:
    keys = dict.fromkeys(run.contestant for run in runs if not run.finished)
    return [f"{TITLES[key]} did not end within its time: it is shown as far as it came.\n" for key in keys]


def _sweep(sweep: Sweep) -> str:
    cells = [sweep.store, f"{sweep.records:,}", f"{sweep.seconds:.1f}", f"{sweep.stall_ms:.0f}", f"{sweep.rss_mb:.0f}"]
    return f"| {' | '.join(cells)} |"
