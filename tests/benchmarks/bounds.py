"""Every bound of the ensemble against streams that try to break it: how near does a regret come to what is guaranteed?

Exits 1 if a regret is above its bound, which would be a mistake in a proof or in its code.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from support.guarantees import DELAYS, Trial, trials

HEAD = ("guarantee", "loss", "delay", "worst regret / bound", "on the stream")


@dataclass(frozen=True, slots=True)
class Worst:
    """The stream of a guarantee, a loss and a delay that comes nearest to the bound."""

    name: str
    loss: str
    delay: int
    ratio: float
    stream: str

    def cells(self) -> tuple[str, ...]:
        return self.name, self.loss, f"{self.delay:,}", f"{self.ratio:.2g}", self.stream


def worst(measured: Iterable[tuple[Trial, float]]) -> list[Worst]:
    """One row for each guarantee, loss and delay, in the order in which they come."""
    found: dict[tuple[str, str, int], Worst] = {}
    for trial, ratio in measured:
        key = trial.guarantee.name, trial.guarantee.policy.loss, trial.delay
        if key not in found or not ratio <= found[key].ratio:
            found[key] = Worst(*key, ratio, trial.stream)
    return list(found.values())


def broken(rows: Iterable[Worst]) -> list[Worst]:
    """Those above their bound; nan and a bound of inf (ratio inf) prove nothing."""
    return [row for row in rows if not row.ratio <= 1.0]


def page(rows: list[Worst], command: str, streams: int, seconds: float) -> str:
    """The rows as Markdown."""
    lines = [
        "# Regret against its bound",
        "",
        f"`{command}` on {datetime.now(UTC).date().isoformat()}: numpy {np.__version__}, Python"
        f" {platform.python_version()}, {streams} streams in {seconds:.0f} s.",
        "Each row is the worst of four streams (constant, sleeping and guessing experts; labels that cost the",
        "published score most, come in blocks, or are random), 20 times while it runs and when all labels have come.",
        "Delay is in turns.",
        "",
        f"| {' | '.join(HEAD)} |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
        "",
        f"Above its bound: {len(broken(rows)) or 'none'}.",
    ]
    return "\n".join(lines) + "\n"


def table(rows: list[Worst]) -> Table:
    """The rows for a screen, those that are broken in red."""
    shown = Table(*HEAD, title="Regret against its bound")
    for row in rows:
        shown.add_row(*row.cells(), style="bold red" if broken([row]) else "")
    return shown


@click.command()
@click.option("--turns", type=click.IntRange(1), default=200, show_default=True, help="At least, of each stream.")
@click.option(
    "--delay",
    "delays",
    type=click.Choice([str(delay) for delay in DELAYS]),
    multiple=True,
    help="Only these; may repeat.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write this name with .md.")
def main(turns: int, delays: tuple[str, ...], output: Path | None) -> None:
    """Run every bound of the ensemble on adversarial and random streams."""
    todo = list(trials(tuple(map(int, delays)) or DELAYS))
    began = time.perf_counter()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        measured = [(trial, trial.ratio(turns)) for trial in progress.track(todo, description="streams")]
    rows = worst(measured)
    Console().print(table(rows))
    if output is not None:
        command = " ".join(["python -m benchmarks.bounds", f"--turns {turns}", *(f"--delay {one}" for one in delays)])
        text = page(rows, command, len(todo), time.perf_counter() - began)
        output.with_suffix(".md").write_text(text, encoding="utf-8")
    sys.exit(1 if broken(rows) else 0)


if __name__ == "__main__":
    main()
