"""`make bench-e2e`: the shipped experts from broker to verdict beside their bare session, and the latency under load;
then JSON and a page."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import click

from benchmarks.e2e.report import BARE, OURS, percentile, render
from benchmarks.e2e.results import Latency, Results, Run
from benchmarks.e2e.served import Served, serving
from benchmarks.e2e.stage import save, texts_of
from benchmarks.race import RaceError
from benchmarks.results import keep
from benchmarks.run import Arena, broker, processor
from benchmarks.serving.run import Contestant, ContestantError, started
from benchmarks.serving.stage import DATA, read
from experts.registry import ZOO
from experts.session import Device

SHARES = (0.5, 0.8)
INSTANT_TURNS = 100_000
"""Of the run that tells the capacity with instant experts."""
LAPS = 3
"""Such runs before it: a young broker compiles on the cores that it shares with the worker, and would make the
capacity, and the loads that are shares of it, look small."""
FEWEST = 20
"""Turns of a latency run, however slow the experts are."""
PACKAGES = ("aegis-stream", "onnxruntime-gpu", "tokenizers", "faust-streaming", "aiokafka")


class Bench:
    """One benchmark: what it has measured so far."""

    def __init__(self, texts: list[str], arena: Arena, device: Device) -> None:
        self._texts = texts
        self._arena = arena
        self.device = device
        self.runs: list[Run] = []
        self.latencies: list[Latency] = []
        self.capacity: dict[str, float] = {}

    def measure(self, bare: Contestant, rounds: int, seconds: float, instant: int) -> None:
        """Everything. `seconds` is how long turns come in each latency run."""
        with serving(self._arena.cluster, self._arena.fresh("shipped"), "shipped", self.device) as worker:
            say("the worker warms up")
            worker.warm_up(self._texts)
            for number in range(rounds):
                for key in (BARE, OURS) if number % 2 == 0 else (OURS, BARE):
                    say(f"round {number + 1}: {key}")
                    self.runs.append(self._run(key, number, bare, worker))
            self.capacity["shipped"] = median(run.texts_per_s for run in self.runs if run.contestant == OURS)
            self._load("shipped", worker, seconds)
        with serving(self._arena.cluster, self._arena.fresh("instant"), "instant") as worker:
            worker.warm_up(self._texts)
            for lap in range(LAPS):
                say(f"instant experts: the broker warms up, {lap + 1} of {LAPS}")
                worker.judge(self._many(instant))
            say("instant experts: capacity")
            self.capacity["instant"] = instant / worker.judge(self._many(instant))
            self._load("instant", worker, seconds)

    def _run(self, key: str, number: int, bare: Contestant, worker: Served) -> Run:
        load, count = os.getloadavg()[0], len(self._texts)
        seconds = bare.go(number)[0].seconds if key == BARE else worker.judge(self._texts)
        return Run(key, number, seconds, count / seconds, load)

    def _load(self, experts: str, worker: Served, seconds: float) -> None:
        for share in SHARES:
            rate = share * self.capacity[experts]
            texts = self._many(max(FEWEST, int(rate * seconds)))
            say(f"{experts} experts: latency at {100 * share:.0f} % of capacity")
            reached, times = worker.latencies(texts, rate)
            p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
            self.latencies.append(Latency(experts, share, reached, len(times), p50, p99, max(times)))

    def _many(self, count: int) -> list[str]:
        return list(islice(cycle(self._texts), count))


def say(what: str) -> None:
    """A line of progress, on standard error."""
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {what}", err=True)


@click.command()
@click.option("--texts", "count", default=500, show_default=True, help="Texts of a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=30.0, show_default=True, help="That turns come, for each latency.")
@click.option("--instant", default=INSTANT_TURNS, show_default=True, help="Turns for the capacity of instant experts.")
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="A data.jsonl.gz with the texts.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Of the experts.")
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(
    count: int, rounds: int, seconds: float, instant: int, data: Path, device: Device, output: Path | None
) -> None:
    """Turns per second from broker to verdict with the shipped experts, beside bare ONNX Runtime; and latency.

    On the broker that AEGIS_BROKER names, else on an embedded one in a temporary folder. Texts are those of --data, or
    the demonstration's where it is not there.
    """
    found = data if data.is_file() else None
    texts, tokens = texts_of(read(found), count)
    try:
        with broker() as (bootstrap, folder):
            bench = _bench(texts, bootstrap, folder, device, (rounds, seconds, instant))
    except (RaceError, ContestantError) as error:
        raise click.ClickException(str(error)) from error
    results = _results(texts, tokens, found, bench)
    page = render(results)
    click.echo(page)
    if output is not None:
        keep(output, results, page)


def _bench(texts: list[str], bootstrap: str, folder: Path, device: Device, size: tuple[int, float, int]) -> Bench:
    """`size` is the arguments of `measure`."""
    arena, saved = Arena(bootstrap, folder), save(texts, folder / "texts.json")
    command = [sys.executable, "-m", "benchmarks.e2e.bare", str(ZOO), device, str(saved)]
    try:
        bench = Bench(texts, arena, device)
        say("the bare session finds its fastest batches")
        with started(BARE, command, folder) as bare:
            bare.ask()
            bench.measure(bare, *size)
    finally:
        arena.close()
    return bench


def _results(texts: list[str], tokens: float, found: Path | None, bench: Bench) -> Results:
    return Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command="make bench-e2e" if bench.device == "cpu" else f'make bench-e2e ARGS="--device {bench.device}"',
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        texts=len(texts),
        tokens=tokens,
        source=found.parent.name if found is not None else "the demonstration's turns",
        capacity=bench.capacity,
        runs=tuple(bench.runs),
        latencies=tuple(bench.latencies),
    )


if __name__ == "__main__":
    main()
