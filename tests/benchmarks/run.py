"""`make bench-stream`: every contestant in every round, the order turned by one each round; then JSON and a page."""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from benchmarks.cluster import Cluster
from benchmarks.contestants.worker import settings
from benchmarks.fleet import Fleet
from benchmarks.plan import Plan, Sizes
from benchmarks.race import CONTESTANTS, QUIX, Contestant, Race, RaceError, chosen
from benchmarks.report import render
from benchmarks.results import Results, Run, keep
from benchmarks.turns import turns
from stream import broker as embedded
from stream import topics_admin
from stream.topics import TopicNames

PARTITIONS = 4
LAP_TURNS, LAPS, MOST_LAPS = 100_000, 3, 8
"""Runs of the worker before the rounds: at most so many turns each, and how many. They tell how large its records are,
and warm the broker, whose compiler shares the contestants' cores: in the first 100,000 turns of its life a broker takes
22 us of processor time for each, in the next 16, then 4 to 9. Who runs first must not pay for that."""
WARM = 1.25
"""The broker is warm when its time in two laps in a row was within this of the least."""
FEWEST = 2_000
"""Turns of a contestant that gets only a share of them."""
UNKNOWN = Sizes(0, 0, 0)
PACKAGES = ("aegis-stream", "faust-streaming", "aiokafka", "quixstreams", "confluent-kafka", "rocksdict")


class Arena:
    """The names of one benchmark on a broker, and the turns that wait there."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.cluster = Cluster(bootstrap)
        self._bootstrap = bootstrap
        self._folder = folder
        running = embedded.status(folder / "broker")
        self._broker = running.pid if running is not None else None
        self._unique = f"bench-{uuid.uuid4().hex[:8]}"
        self.sizes = UNKNOWN

    def plan(self, prefix: str, run: str) -> Plan:
        """The plan of one run over the turns under `prefix`."""
        name = f"{self._unique}-{prefix}-{run}"
        return Plan(
            broker=self._bootstrap,
            turns=f"{self._unique}.{prefix}.turns.v1",
            changelog=f"{name}.changelog",
            verdicts=f"{name}.verdicts",
            group=name,
            prefix=f"{self._unique}.{prefix}.",
            app_id=name,
            partitions=PARTITIONS,
            sizes=self.sizes,
            folder=str(self._folder / name),
        )

    def race(self, prefix: str, count: int) -> Race:
        """Fills the topic of turns under `prefix`; the worker's topics are made for each of its runs."""
        self._contract(self.plan(prefix, "fill"))
        self.cluster.fill(self.plan(prefix, "fill").turns, turns(count))
        return Race(self.cluster, lambda run: self._ready(self.plan(prefix, run)), count, self._broker)

    def fleet(self, count: int) -> Fleet:
        """Groups of workers, each over turns of its own."""
        return Fleet(self.cluster, self.fresh, count, self._broker)

    def warm_up(self, count: int) -> None:
        """Until the broker is as fast as it gets; learns the sizes of the worker's records."""
        race, times = self.race("laps", count), list[float]()
        while len(times) < LAPS or (len(times) < MOST_LAPS and max(times[-2:]) > WARM * min(times)):
            run, self.sizes = race.run(CONTESTANTS[0], len(times))
            times.append(run.broker_us or 0.0)
            click.echo(f"warming up: {run.turns_per_s:,.0f} turns/s, {times[-1]:.1f} us of the broker's", err=True)

    def fresh(self, run: str) -> Plan:
        """A plan with topics of its own, which stand; the broker stamps its turns, too."""
        plan = self.plan(run, "run")
        self._contract(plan)
        return plan

    def _ready(self, plan: Plan) -> Plan:
        if "-worker-" in plan.app_id:
            self._contract(plan)
        return plan

    def _contract(self, plan: Plan) -> None:
        worker = settings(plan, "memory")
        asyncio.run(topics_admin.create(worker))
        names = TopicNames.of(worker)
        self.cluster.stamp((names.changelog, names.verdicts, names.turns))

    def close(self) -> None:
        self.cluster.delete([self._unique, f"{QUIX}{self._unique}"])


@click.command()
@click.option("--turns", "count", default=300_000, show_default=True, help="Turns that each contestant reads.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--only", multiple=True, type=click.Choice([c.key for c in CONTESTANTS]), help="Only these contestants.")
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(count: int, rounds: int, only: tuple[str, ...], output: Path | None) -> None:
    """Turns per second of the worker beside quixstreams, bare aiokafka and bare librdkafka.

    On the broker that AEGIS_BROKER names, else on an embedded one in a temporary folder.
    """
    try:
        with broker() as (bootstrap, folder):
            runs = tuple(_rounds(Arena(bootstrap, folder), chosen(only), count, rounds))
    except RaceError as error:
        raise click.ClickException(str(error)) from error
    results = _results(count, runs)
    page = render(results, {contestant.key: contestant.title for contestant in CONTESTANTS})
    click.echo(page)
    if output is not None:
        keep(output, results, page)


def _rounds(arena: Arena, contestants: tuple[Contestant, ...], count: int, rounds: int) -> Iterator[Run]:
    try:
        arena.warm_up(min(LAP_TURNS, max(FEWEST, count)))
        click.echo(f"the worker's records: {arena.sizes}", err=True)
        races = {
            share: arena.race(f"race-{share}", max(FEWEST, count // share))
            for share in sorted({contestant.share for contestant in contestants if not contestant.processes})
        }
        for number in range(rounds):
            first = number % len(contestants)
            for contestant in (*contestants[first:], *contestants[:first]):
                if contestant.processes:
                    run = arena.fleet(max(FEWEST, count // contestant.share)).run(contestant, number)
                else:
                    run, _ = races[contestant.share].run(contestant, number)
                click.echo(f"{number} {run.contestant}: {run.turns_per_s:,.0f} turns/s, {run.cpu_us:.1f} us", err=True)
                yield run
    finally:
        arena.close()


@contextmanager
def broker() -> Iterator[tuple[str, Path]]:
    """The broker that AEGIS_BROKER names, else an embedded one; and a folder for a while."""
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as name:
        folder = Path(name)
        named = os.environ.get("AEGIS_BROKER")
        if named:
            yield named, folder
            return
        running = embedded.start(folder / "broker", embedded.free_port())
        try:
            yield running.bootstrap, folder
        finally:
            embedded.stop(folder / "broker")


def _results(count: int, runs: tuple[Run, ...]) -> Results:
    sample = [len(value) for _, value in turns(min(count, 10_000))]
    return Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command="make bench-stream",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        turns=count,
        turn_bytes=sum(sample) / len(sample),
        partitions=PARTITIONS,
        runs=runs,
    )


def processor() -> str:
    """The processor's own name (Linux), else its architecture."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
