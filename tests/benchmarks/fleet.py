"""Several workers in one group: started on an empty topic, and measured on turns that came when all had joined."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.cluster import Cluster
from benchmarks.plan import Plan
from benchmarks.race import (
    DEADLINE_SECONDS,
    POLL_SECONDS,
    Contestant,
    RaceError,
    Spent,
    cpu_seconds,
    end_process,
    launch,
    outputs_of,
    sizes_of,
)
from benchmarks.results import Part, Run
from benchmarks.turns import turns
from experts.session import cores

JOIN_SECONDS = 120.0
WARM_TURNS = 20_000
OTHERS = 4
"""Processors that the broker and the writer of the turns take."""


class Fleet:
    """Runs a contestant as `processes` processes of one group over a topic of its own.

    The rate runs from the last turn's arrival, since until then the processors are shared with the one who writes them;
    from the first one's where enough processors are left for that, since there the workers keep up with the writer."""

    def __init__(self, cluster: Cluster, plan: Callable[[str], Plan], count: int, broker: int | None = None) -> None:
        """`plan` names a run's topics and makes them; `broker` is the broker's process, if it is ours to look at."""
        self._cluster = cluster
        self._broker = broker
        self._plan = plan
        self._count = count

    def run(self, contestant: Contestant, number: int) -> Run:
        """The measured run. Raises RaceError when a worker ends, or a turn has no verdict in time."""
        plan = self._plan(f"{contestant.key}-{number}")
        load, started = os.getloadavg()[0], list[subprocess.Popen[bytes]]()
        try:
            for process in range(contestant.processes):
                folder = Path(plan.folder) / str(process)
                folder.mkdir(parents=True)
                started.append(launch(contestant.command(plan), folder))
            self._join(plan, started)
            records = list(turns(WARM_TURNS + self._count))
            self._warm_up(plan, started, records[:WARM_TURNS])
            warm, so_far = time.time(), [cpu_seconds(process.pid) for process in started]
            began, before, used = warm, WARM_TURNS, self._spent(started)
            self._cluster.fill(plan.turns, records[WARM_TURNS:])
            if cores() < contestant.processes + OTHERS:
                began, before, used = time.time(), self._verdicts(plan), self._spent(started)
            self._until_done(plan, started)
            spent = self._spent(started).for_each(max(1, WARM_TURNS + self._count - before), used)
            cpu = [cpu_seconds(process.pid) - then for process, then in zip(started, so_far, strict=True)]
            parts = self._parts(plan, warm, cpu)  # before the first of them ends, and the others get its partitions
        finally:
            for running in started:
                end_process(running)
        run = self._measured(contestant, number, plan, began, spent, load, parts)
        self._cluster.delete([plan.prefix, f"{plan.app_id}-"])
        return run

    def _join(self, plan: Plan, started: Sequence[subprocess.Popen[bytes]]) -> None:
        """Until every process has a partition."""
        least = min(len(started), plan.partitions)
        self._wait(plan, started, JOIN_SECONDS, lambda: self._cluster.members(plan.group, plan.turns) >= least)

    def _warm_up(
        self, plan: Plan, started: Sequence[subprocess.Popen[bytes]], records: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """Until all of these have verdicts: what the last worker to join cost the others is over then."""
        self._cluster.fill(plan.turns, records)
        self._wait(plan, started, JOIN_SECONDS, lambda: self._verdicts(plan) >= len(records))

    def _until_done(self, plan: Plan, started: Sequence[subprocess.Popen[bytes]]) -> None:
        self._wait(plan, started, DEADLINE_SECONDS, lambda: self._verdicts(plan) >= WARM_TURNS + self._count)

    def _wait(
        self, plan: Plan, started: Sequence[subprocess.Popen[bytes]], seconds: float, done: Callable[[], bool]
    ) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            for place, process in enumerate(started):
                if process.poll() is not None:
                    said = (Path(plan.folder) / str(place) / "stderr").read_text(errors="replace").strip()
                    raise RaceError(f"worker {place} of {len(started)} ended: {''.join(said.splitlines()[-1:])}")
            if time.monotonic() > deadline:
                raise RaceError(f"{len(started)} workers were not done within {seconds:g} s")
            time.sleep(POLL_SECONDS)

    def _verdicts(self, plan: Plan) -> int:
        return sum(self._cluster.ends(outputs_of("worker", plan)[1], plan.partitions).values())

    def _spent(self, started: Sequence[subprocess.Popen[bytes]]) -> Spent:
        return Spent.of([process.pid for process in started], self._broker)

    def _parts(self, plan: Plan, began: float, cpu: Sequence[float]) -> tuple[Part, ...]:
        """What each worker did since `began`, for which it took so many seconds of processor time."""
        stamps = defaultdict[int, list[int]](list)
        topic, start = outputs_of("worker", plan)[1], dict.fromkeys(range(plan.partitions), 0)
        for record in self._cluster.records(topic, start, self._cluster.ends(topic, plan.partitions)):
            if record.timestamp()[1] >= 1000 * began:  # the others are of the warm-up
                stamps[record.partition()].append(record.timestamp()[1])
        parts = []
        for place, seconds in enumerate(cpu):
            owned = partitions_told((Path(plan.folder) / str(place) / "stderr").read_text(errors="replace"))
            parts.append(part_of(owned, stamps, round(1000 * began), seconds))
        return tuple(parts)

    def _measured(
        self,
        contestant: Contestant,
        number: int,
        plan: Plan,
        began: float,
        spent: Spent,
        load: float,
        parts: tuple[Part, ...],
    ) -> Run:
        nothing = dict.fromkeys(range(plan.partitions), 0)
        changelog, verdicts = (
            self._cluster.read(topic, nothing, self._cluster.ends(topic, plan.partitions))
            for topic in outputs_of("worker", plan)
        )
        later = sum(count for stamp, count in verdicts.records.items() if stamp > 1000 * began)
        if verdicts.count < self._count or not later:
            raise RaceError(f"{contestant.key}: {verdicts.count} verdicts of {self._count} turns, {later} after them")
        seconds = max(*verdicts.records, *changelog.records) / 1000 - began
        sizes = sizes_of(changelog, verdicts)
        written = sizes.changelog_key + sizes.changelog_value + sizes.verdict
        rate = later / seconds
        return Run(contestant.key, number, later, seconds, rate, spent.own, written, load, spent.broker, parts)


def partitions_told(log: str) -> tuple[int, ...]:
    """Those that a worker said last that it has, in the lines of JSON that it logged; none if it never said."""
    ready = [json.loads(line) for line in log.splitlines() if '"worker_ready"' in line]
    return tuple(sorted(ready[-1]["partitions"])) if ready else ()


def part_of(owned: tuple[int, ...], stamps: Mapping[int, Sequence[int]], began: int, cpu_s: float) -> Part:
    """`stamps`: when the verdicts of each partition were appended, in ms, as `began` is."""
    mine = sorted(stamp for partition in owned for stamp in stamps.get(partition, ()))
    pauses = [later - earlier for earlier, later in pairwise([began, *mine])]
    return Part(owned, len(mine), cpu_s, max(pauses, default=0))
