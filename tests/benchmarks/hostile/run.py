"""One run: topics filled, one worker process over them, its memory watched, and all that it wrote held against what it
was sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.cluster import Cluster
from benchmarks.hostile.broker import each, fill, records
from benchmarks.hostile.ledger import Ledger
from benchmarks.hostile.messages import MAX_TEXT_BYTES, Generator
from benchmarks.hostile.results import Memory, Sample
from benchmarks.race import cpu_seconds
from stream import topics_admin
from stream.settings import Settings
from stream.topics import TopicNames
from support.broker import Namespace, delete_namespace
from support.worker_process import WorkerProcess

PARTITIONS = 4
INPUTS = ("turns", "labels")
SAMPLE_SECONDS = 0.5
STALL_SECONDS = 600.0
"""Without progress in a partition: a worker that hangs is told from a slow machine."""
HOPS = 4
"""Of a label on its way: here, the partition of the other hash, home; one more for one that is looked for again."""


class Outcome(NamedTuple):
    """What came of one run."""

    ledger: Ledger
    samples: list[Sample]
    seconds: float
    cpu_us: float
    size: int
    longest_stand: float
    """Seconds in which a partition with records waiting did not move, at most."""


class Hostile:
    """The topics of one run, and the worker behind them."""

    def __init__(self, bootstrap: str, folder: Path, store: str) -> None:
        self._namespace = Namespace.new()
        self._bootstrap, self._folder = bootstrap, folder
        self._cluster = Cluster(bootstrap)
        self._settings: Settings = self._namespace.settings(
            bootstrap,
            partitions=PARTITIONS,
            store=store,
            data_dir=folder / "state",
            session_timeout=30.0,
            stall_timeout=STALL_SECONDS,  # a shared machine may give the worker a tenth of a core
            max_text_bytes=MAX_TEXT_BYTES,
            log_level="warning",
        )
        self._names = TopicNames.of(self._settings)
        self.longest_stand = 0.0

    def run(self, seed: int, good: int, bad: int) -> Outcome:
        """Raises AssertionError when the worker ends or stands still; what it did wrong is in the ledger."""
        asyncio.run(topics_admin.create(self._settings))
        try:
            topics = {"turns": self._names.turns, "labels": self._names.labels}
            ledger = Ledger(topics)
            size = fill(self._bootstrap, topics, Generator(seed, good, bad, PARTITIONS), ledger)
            worker = WorkerProcess(self._settings, self._folder / "worker.log")
            with worker:
                started = time.monotonic()
                samples = list(self._watched(worker, ledger))
                seconds = time.monotonic() - started
                cpu_us = 1e6 * cpu_seconds(worker.process.pid) / ledger.messages
                self._settle(worker, ledger)
            self._check(ledger)
            return Outcome(ledger, samples, seconds, cpu_us, size, self.longest_stand)
        finally:
            asyncio.run(delete_namespace(self._bootstrap, self._namespace))

    def _watched(self, worker: WorkerProcess, ledger: Ledger) -> Iterator[Sample]:
        """A look every half second, until all is committed."""
        started, done = time.monotonic(), -1
        sent = {(topic, number): count for topic in INPUTS for number, count in ledger.sent(topic).items()}
        moved: dict[tuple[str, int], tuple[int, float]] = {}
        while done < sum(sent.values()):
            worker.assert_running()
            committed = {topic: self._committed(getattr(self._names, topic)) for topic in INPUTS}
            # Labels on their way stand behind those that were sent: they do not count.
            at = {place: min(committed[place[0]][place[1]], count) for place, count in sent.items()}
            done, now = sum(at.values()), time.monotonic()
            for place, offset in at.items():
                if offset == sent[place] or moved.get(place, (-1, 0.0))[0] != offset:
                    moved[place] = (offset, now)
                self.longest_stand = max(self.longest_stand, now - moved[place][1])
            yield Sample(now - started, done, *memory_of(worker.process.pid))
            time.sleep(SAMPLE_SECONDS)

    def _committed(self, topic: str) -> dict[int, int]:
        return self._cluster.committed(self._settings.app_id, topic, PARTITIONS)

    def _settle(self, worker: WorkerProcess, ledger: Ledger) -> None:
        """Until labels that were early have found their turns."""
        for _ in range(HOPS):
            ends = self._cluster.ends(self._names.labels, PARTITIONS)
            deadline = time.monotonic() + STALL_SECONDS
            while any(self._committed(self._names.labels)[number] < end for number, end in ends.items()):
                worker.assert_running()
                assert time.monotonic() < deadline, "labels on their way do not arrive"
                time.sleep(SAMPLE_SECONDS)

    def _check(self, ledger: Ledger) -> None:
        numbers, names = range(PARTITIONS), self._names
        each(records(self._bootstrap, self._cluster, names.dead_letters, numbers), ledger.letter)
        each(records(self._bootstrap, self._cluster, names.verdicts, numbers), ledger.verdict)
        each(records(self._bootstrap, self._cluster, names.labels, numbers), ledger.label)
        for number in numbers:
            found = records(self._bootstrap, self._cluster, names.changelog, [number])
            ledger.changelog({record.key(): record.value() for record in found}.items())
        if sum(self._cluster.ends(names.experts, 1).values()):
            ledger.problems.add("a record in experts.v1, which nobody asked for", names.experts)
        ledger.end()


def memory_of(pid: int) -> tuple[float, float]:
    """Resident memory of a process in MB, all and without what files back (Linux)."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    whole, anonymous = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))
    return whole, anonymous


def memory(samples: list[Sample], messages: int) -> Memory:
    """How resident memory went; of a run too short to tell, the mean of all."""
    done, rss = np.array([s.done for s in samples]), np.array([s.rss_mb for s in samples])
    second = rss[(done >= messages / 3) & (done < 2 * messages / 3)]
    last = rss[done >= 2 * messages / 3]
    later = done >= messages / 3
    if len(second) < 2 or len(last) < 2:
        return Memory(float(rss.mean()), float(rss.mean()), float(rss.max()), 0.0)
    slope = float(np.polyfit(done[later] / 1e5, rss[later], 1)[0])
    return Memory(float(second.mean()), float(last.mean()), float(rss.max()), slope)
