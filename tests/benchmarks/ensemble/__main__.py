"""`make bench-ensemble`: every contestant in every round, the order turned by one each round; then JSON and a page."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks.ensemble.contestants import FOREVER, Contestant, Ewa, MlPol, Ours, River, Stream
from benchmarks.ensemble.report import OURS, RIVER, render
from benchmarks.ensemble.results import Results, Run
from benchmarks.results import keep
from benchmarks.run import processor

PACKAGES: Final = ("aegis-stream", "numpy", "river")
AGREE: Final = 1e-9
"""The most that weights of the ensemble and of EWA may be apart: the same formula, summed otherwise."""
COMPARED: Final = 500
"""Labels after which they are compared: enough to move weights, few enough that none is 0."""


def contestants(experts: int, fold: int, batch: int) -> dict[str, Callable[[], Contestant]]:
    """How each is made."""
    return {
        OURS: partial(Ours, experts, fold, batch),
        "ours-one": partial(Ours, experts, fold, batch, FOREVER),
        "ewa": partial(Ewa, experts),
        "mlpol": partial(MlPol, experts),
        RIVER: partial(River, experts),
    }


def race(
    made: dict[str, Callable[[], Contestant]], stream: Stream, sample: int, rounds: int, progress: Progress
) -> Iterator[Run]:
    """Every run; a round before them, on the sample, warms up."""
    keys = tuple(made)
    task = progress.add_task("warming up", total=len(keys) * (rounds + 1))
    for number in range(-1, rounds):
        first = number % len(keys)
        for key in (*keys[first:], *keys[:first]):
            progress.update(task, description=f"round {number + 1}: {key}")
            given = stream if key.startswith(OURS) and number >= 0 else stream.first(sample)
            run = measured(key, made[key](), given, number)
            progress.advance(task)
            if number >= 0:
                yield run


def measured(key: str, contestant: Contestant, stream: Stream, number: int) -> Run:
    """One contestant in one round."""
    load, count = os.getloadavg()[0], len(stream.target)
    began = time.perf_counter()
    contestant.learn(stream)
    learned = time.perf_counter()
    contestant.forecast(stream)
    return Run(key, number, count, learned - began, count, time.perf_counter() - learned, load)


def apart(stream: Stream, experts: int) -> float:
    """How far weights of the ensemble and of EWA are apart on the same labels. ClickException if it is no rounding."""
    ours, ewa = Ours(experts, 1, 1, FOREVER), Ewa(experts)
    ours.learn(stream)
    ewa.learn(stream)
    most = float(np.abs(ours.forecaster.weights() - ewa.weights).max())
    if not most <= AGREE:
        raise click.ClickException(f"weights of the ensemble and of EWA differ by {most:.1e}: they do not do the same")
    return most


@click.command()
@click.option("--turns", "count", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--experts", type=click.IntRange(2, 64), default=5, show_default=True)
@click.option("--fold", type=click.IntRange(1), default=4096, show_default=True, help="Labels learned together.")
@click.option("--batch", type=click.IntRange(1), default=256, show_default=True, help="Turns forecast together.")
@click.option("--sample", type=click.IntRange(1), default=20_000, show_default=True, help="Turns of the slow ones.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(count: int, experts: int, fold: int, batch: int, sample: int, rounds: int, output: Path | None) -> None:
    """Label updates and forecasts per second, beside river and the rules of opera in numpy."""
    stream = Stream.random(count, experts)
    most = apart(stream.first(COMPARED), experts)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        runs = tuple(race(contestants(experts, fold, batch), stream, min(sample, count), rounds, progress))
    results = Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command="make bench-ensemble",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        experts=experts,
        turns=count,
        fold=fold,
        batch=batch,
        apart=most,
        runs=runs,
    )
    page = render(results)
    click.echo(page)
    if output is not None:
        keep(output, results, page)


if __name__ == "__main__":
    main()
