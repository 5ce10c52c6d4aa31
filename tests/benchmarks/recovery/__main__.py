"""`make bench-recovery`: how long a worker needs to be ready with so many pending turns, and what others need."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
from aiokafka.errors import KafkaError

from benchmarks.cluster import Cluster
from benchmarks.race import QUIX, RaceError
from benchmarks.recovery import records
from benchmarks.recovery.peers import Plan
from benchmarks.recovery.processes import POLL_SECONDS, Worker, peer, sweep
from benchmarks.recovery.report import TITLES, render
from benchmarks.recovery.results import Results, Run, Sweep
from benchmarks.results import keep
from benchmarks.run import broker, processor
from benchmarks.turns import turns
from stream import offsets, topics_admin
from stream.broker import free_port
from stream.errors import TopicsError
from stream.settings import Settings
from stream.topics import TopicNames

PACKAGES: Final = ("aegis-stream", "faust-streaming", "aiokafka", "quixstreams", "confluent-kafka", "rocksdict")
PARTITIONS: Final = 4
LOAD_TURNS: Final = 100_000
"""Turns under way when the worker is killed."""
GROUPS_SECONDS: Final = 60.0
PEERS: Final = ("aiokafka", "librdkafka", "quixstreams", "faust")


class Arena:
    """A changelog with pending turns, and the workers and peers that recover from it."""

    def __init__(self, bootstrap: str, folder: Path, count: int, faust_seconds: float) -> None:
        self.cluster, self._folder, self._count = Cluster(bootstrap), folder, count
        self._faust_seconds = faust_seconds
        self._name = f"bench-{uuid.uuid4().hex[:8]}"
        self._bootstrap = bootstrap
        self.settings = Settings.load(
            broker=bootstrap,
            topic_prefix=f"{self._name}.",
            app_id=self._name,
            partitions=PARTITIONS,
            session_timeout=6.0,
            heartbeat=2.0,
            conversations="off",
            label_horizon=365 * 86400.0,
        )
        self._names = TopicNames.of(self.settings)
        self._quix = f"{QUIX}{self._name}-quix--{self._names.turns}--default"

    def fill(self) -> float:
        """Returns the mean size of a record."""
        asyncio.run(topics_admin.create(self.settings))
        self.cluster.create(self._quix, PARTITIONS)
        topics: dict[str, records.Headers] = {
            self._names.changelog: [],
            self._quix: [("__column_family__", b"default")],
        }
        size = records.write(self._bootstrap, topics, PARTITIONS, self._count)
        asyncio.run(self._choose_offsets())
        return size

    async def _choose_offsets(self) -> None:
        """A state without offsets would be refused. A broker that was just started needs a while before it has
        groups."""
        async with asyncio.timeout(GROUPS_SECONDS):
            while True:
                try:
                    await offsets.seek(self.settings, "latest")
                    return
                except (KafkaError, TopicsError):
                    await asyncio.sleep(POLL_SECONDS)

    def close(self) -> None:
        self.cluster.delete([self._name, f"{QUIX}{self._name}"])

    def worker(self, name: str, store: str, **others: Any) -> Worker:
        """One with a folder of its own."""
        changed = {"store": store, "data_dir": self._folder / name, "http_port": free_port(), **others}
        return Worker(self.settings.model_copy(update=changed), self._folder / f"{name}.log")

    def peer(self, kind: str, number: int) -> Run:
        quix = kind == "quixstreams"
        plan = Plan(
            broker=self._bootstrap,
            app_id=f"{self._name}-quix" if quix else self._name,
            changelog=self._quix if quix else self._names.changelog,
            turns=self._names.turns,
            partitions=PARTITIONS,
            records=self._count,
            folder=str(self._folder / f"{kind}-{number}"),
            seconds=self._faust_seconds,
        )
        return peer(kind, plan, number)

    def round(self, number: int) -> Iterator[Run]:
        """Everything once; what each leaves on disk is gone afterwards."""
        for kind in PEERS:
            say(number, kind)
            yield self.peer(kind, number)
        for store in ("memory", "rocksdict"):
            say(number, f"{store}-cold")
            worker = self.worker(f"{store}-{number}", store)
            yield worker.start().recovered(f"{store}-cold", number)
            worker.stop()
        say(number, "rocksdict-warm")
        yield worker.start().recovered("rocksdict-warm", number)
        say(number, "rocksdict-killed")
        yield self._killed_under_load(worker, number)
        worker.stop()
        for standbys, key in ((0, "takeover"), (1, "takeover-standby")):
            say(number, key)
            yield self._taken_over(standbys, number)
        for left in self._folder.iterdir():
            if left.is_dir() and left.name != "broker":
                shutil.rmtree(left)

    def _killed_under_load(self, worker: Worker, number: int) -> Run:
        """Killed while turns are decided, when half of them are."""

        def written() -> int:
            return sum(self.cluster.ends(self._names.verdicts, PARTITIONS).values())

        before = written()
        self.cluster.fill(self._names.turns, ((key, value) for key, value in _fresh(number)))
        self._until(lambda: written() >= before + LOAD_TURNS // 2, worker)
        worker.process.kill()
        run = worker.start().recovered("rocksdict-killed", number)
        self._until(lambda: written() >= before + LOAD_TURNS, worker)
        return run

    def _taken_over(self, standbys: int, number: int) -> Run:
        """Two workers, half of the partitions each, and the one is killed."""
        first, second = (
            self.worker(f"{name}-{standbys}-{number}", "rocksdict", standbys=standbys) for name in ("first", "second")
        )
        first.start()
        self._until(lambda: bool(first.process.events("worker_ready")), first)
        second.start()

        def shared() -> bool:
            both = [worker.process.events("worker_ready") for worker in (first, second)]
            return all(ready and len(ready[-1]["partitions"]) == PARTITIONS // 2 for ready in both)

        self._until(shared, second)
        if standbys:
            self._until(lambda: second.metric("aegis_standbys") == PARTITIONS // 2, second)
            self._until(lambda: second.metric("aegis_standby_lag_records") == 0, second)
        first.process.kill()
        second.began = time.monotonic()
        owns = lambda: len(second.process.events("worker_ready")[-1]["partitions"]) == PARTITIONS  # noqa: E731
        run = second.recovered("takeover-standby" if standbys else "takeover", number, owns)
        second.stop()
        return run

    def _until(self, holds: Any, worker: Worker) -> None:
        worker._until(holds)
        time.sleep(POLL_SECONDS)


def say(number: int, key: str) -> None:
    """A line of progress, on standard error: each step can take minutes."""
    click.echo(f"{datetime.now(UTC):%H:%M:%S} round {number + 1}: {TITLES[key]} begins", err=True)


def _fresh(number: int) -> Iterator[tuple[bytes, bytes]]:
    """Turns that no round before has had."""
    for key, value in turns(LOAD_TURNS):
        yield b"%d-%s" % (number, key), value.replace(b'"turn_id":"', b'"turn_id":"%d-' % number, 1)


@click.command()
@click.option("--records", "count", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--faust-seconds", default=120.0, show_default=True, help="What Faust's own recovery may take.")
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(count: int, rounds: int, faust_seconds: float, output: Path | None) -> None:
    """Time to be ready with so many pending turns: cold, warm, killed, taken over; beside bare clients and others.

    On the broker that AEGIS_BROKER names, else on an embedded one in a temporary folder.
    """
    runs, sweeps = list[Run](), list[Sweep]()
    try:
        with broker() as (bootstrap, folder):
            arena = Arena(bootstrap, folder, count, faust_seconds)
            try:
                size = arena.fill()
                click.echo(f"{count:,} pending turns of {size:.0f} bytes are written", err=True)
                for number in range(rounds):
                    for run in arena.round(number):
                        runs.append(run)
                        click.echo(
                            f"{number} {TITLES[run.contestant]}: {run.records:,} in {run.seconds:.1f} s", err=True
                        )
            finally:
                arena.close()
            for store in ("memory", "rocksdict"):
                sweeps.append(sweep(store, count, folder / f"sweep-{store}"))
    except RaceError as error:
        raise click.ClickException(str(error)) from error
    results = Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command="make bench-recovery",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        records=count,
        record_bytes=size,
        partitions=PARTITIONS,
        runs=tuple(runs),
        sweeps=tuple(sweeps),
    )
    page = render(results)
    click.echo(page)
    if output is not None:
        keep(output, results, page)


if __name__ == "__main__":
    main()
