"""A worker in a process of its own, asked through the broker."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.cluster import Cluster
from benchmarks.e2e.load import send
from benchmarks.e2e.stage import turns_of
from benchmarks.plan import Plan
from benchmarks.race import RaceError, end_process, launch
from experts.session import Device

WARM_TURNS = 64
READY_SECONDS = 120.0
DEADLINE_SECONDS = 240.0
POLL_SECONDS = 0.1
Stamps = dict[tuple[int, int], int]
"""The broker's time in ms of what stands at (partition, offset)."""


class Place(msgspec.Struct):
    """Where a verdict's turn stands."""

    partition: int
    offset: int


class Told(msgspec.Struct):
    """All that is read of a verdict."""

    source: Place


class Served:
    """One worker over topics of its own."""

    def __init__(self, cluster: Cluster, plan: Plan, process: subprocess.Popen[bytes]) -> None:
        self._cluster = cluster
        self._plan = plan
        self._process = process
        self._verdicts = f"{plan.prefix}verdicts.v1"
        self._sent = 0
        self._runs = 0

    def warm_up(self, texts: list[str]) -> None:
        """Until it has judged some turns. Raises RaceError when it ends or does not."""
        least = lambda: self._cluster.members(self._plan.group, self._plan.turns) >= 1  # noqa: E731
        self._wait(READY_SECONDS, least, "had no partitions")
        self.judge((texts * WARM_TURNS)[:WARM_TURNS])

    def judge(self, texts: list[str]) -> float:
        """Seconds from the first of these turns in the broker to the last verdict."""
        before = self._cluster.ends(self._plan.turns, self._plan.partitions)
        told = self._cluster.ends(self._verdicts, self._plan.partitions)
        self._cluster.fill(self._plan.turns, self._turns(texts))
        self._until(len(texts))
        came, left = self._stamps(before, told)
        return (max(left.values()) - min(came.values())) / 1000

    def latencies(self, texts: list[str], rate: float) -> tuple[float, list[float]]:
        """The rate that was reached, and ms from turn to verdict of each text, sent at that rate."""
        before = self._cluster.ends(self._plan.turns, self._plan.partitions)
        told = self._cluster.ends(self._verdicts, self._plan.partitions)
        reached = send(self._plan.broker, self._plan.turns, self._turns(texts), rate)
        self._until(len(texts))
        came, left = self._stamps(before, told)
        return reached, [float(left[place] - came[place]) for place in came]

    def _turns(self, texts: list[str]) -> Iterator[tuple[bytes, bytes]]:
        self._runs += 1
        return turns_of(texts, f"run-{self._runs}")

    def _until(self, more: int) -> None:
        self._sent += more
        partitions = self._plan.partitions
        done = lambda: sum(self._cluster.ends(self._verdicts, partitions).values()) >= self._sent  # noqa: E731
        self._wait(DEADLINE_SECONDS, done, f"had not judged {self._sent} turns")

    def _wait(self, seconds: float, done: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if self._process.poll() is not None:
                said = (Path(self._plan.folder) / "stderr").read_text(errors="replace").strip().splitlines()[-1:]
                raise RaceError(f"the worker ended: {''.join(said)}")
            if time.monotonic() > deadline:
                raise RaceError(f"the worker {otherwise} after {seconds:g} s")
            time.sleep(POLL_SECONDS)

    def _stamps(self, turns: dict[int, int], verdicts: dict[int, int]) -> tuple[Stamps, Stamps]:
        """When each turn from these offsets on was appended, and when its verdict was, by the turn's place."""
        read, count = msgspec.json.Decoder(Told).decode, self._plan.partitions
        came, left = Stamps(), Stamps()
        for record in self._cluster.records(self._plan.turns, turns, self._cluster.ends(self._plan.turns, count)):
            came[record.partition(), record.offset()] = record.timestamp()[1]
        for record in self._cluster.records(self._verdicts, verdicts, self._cluster.ends(self._verdicts, count)):
            source = read(record.value()).source
            left[source.partition, source.offset] = record.timestamp()[1]
        if came.keys() != left.keys():
            raise RaceError(f"{len(came)} turns and verdicts on {len(left)}")
        return came, left


@contextmanager
def serving(cluster: Cluster, plan: Plan, experts: str, device: Device = "cpu") -> Iterator[Served]:
    """A started worker; its topics must stand."""
    folder = Path(plan.folder)
    folder.mkdir(parents=True)
    process = launch([sys.executable, "-m", "benchmarks.e2e.worker", plan.to_argument(), experts, device], folder)
    try:
        yield Served(cluster, plan, process)
    finally:
        end_process(process)
