"""One contestant in one round: started, watched from outside, ended, and measured by what stands in the log."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cluster import Appended, Cluster, Offsets
from benchmarks.plan import Plan, Sizes
from benchmarks.results import Run

POLL_SECONDS = 0.25
DEADLINE_SECONDS = 300.0
"""For all turns of one run: ten times what the slowest contestant needs."""
STOP_SECONDS = 30.0
QUIX = "changelog__"
TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Contestant:
    """A module under `contestants/`, its further arguments, and what stands in the report."""

    key: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()
    share: int = 1
    """Measured on one of so many turns: a slow one would take the time of all others."""
    processes: int = 0
    """Workers of one group; 0: it is no group, but one process that finds its turns there."""

    def command(self, plan: Plan) -> list[str]:
        return [sys.executable, "-m", f"benchmarks.contestants.{self.module}", plan.to_argument(), *self.arguments]


CONTESTANTS = (
    Contestant("worker-memory", "**worker, store in memory**", "worker", ("memory",)),
    Contestant("worker-rocksdict", "**worker, store on disk (rocksdict)**", "worker", ("rocksdict",)),
    Contestant("quixstreams", "quixstreams, state (RocksDB) and changelog", "quix"),
    Contestant("faust", "Faust as it comes (on a fortieth of the turns)", "faust_plain", ("worker",), share=40),
    Contestant("aiokafka-records", "bare aiokafka, a record at a time", "aiokafka_records"),
    Contestant("aiokafka-batches", "bare aiokafka, in batches", "aiokafka_batches"),
    Contestant("librdkafka-records", "bare librdkafka, a record at a time", "librdkafka", ("records",)),
    Contestant("librdkafka-batches", "bare librdkafka, taken in batches", "librdkafka", ("batches",)),
    Contestant("fleet-1", "a group of 1 worker", "worker", ("memory", "tell"), share=2, processes=1),
    Contestant("fleet-2", "a group of 2 workers", "worker", ("memory", "tell"), share=2, processes=2),
    Contestant("fleet-4", "a group of 4 workers", "worker", ("memory", "tell"), share=2, processes=4),
)


class RaceError(Exception):
    """A contestant did not do its work; one line."""


class Spent(NamedTuple):
    """Processor time of a contestant's processes, and of the broker where that is ours to look at. In seconds, or in
    microseconds a turn."""

    own: float
    broker: float | None

    @classmethod
    def of(cls, processes: Iterable[int], broker: int | None) -> Spent:
        """Until now, in seconds."""
        return cls(sum(map(cpu_seconds, processes)), None if broker is None else cpu_seconds(broker))

    def for_each(self, turns: int, since: Spent) -> Spent:
        """Microseconds for each of so many turns, which took what was spent since then."""
        share = 1e6 / max(1, turns)
        broker = None if self.broker is None or since.broker is None else share * (self.broker - since.broker)
        return Spent(share * (self.own - since.own), broker)


class Race:
    """Runs contestants over one topic of `turns` turns that stands already. `broker` is the broker's process, if it is
    ours to look at."""

    def __init__(self, cluster: Cluster, plan: Callable[[str], Plan], turns: int, broker: int | None = None) -> None:
        self._cluster = cluster
        self._broker = broker
        self._plan = plan
        self._turns = turns

    def run(self, contestant: Contestant, number: int) -> tuple[Run, Sizes]:
        """The measured run, and the mean sizes of what was written. Raises RaceError if a turn has no verdict or no
        changelog record, or is not committed."""
        plan = self._plan(f"{contestant.key}-{number}")
        outputs = outputs_of(contestant.module, plan)
        if contestant.module != "worker":
            for topic in outputs:
                self._cluster.create(topic, plan.partitions)  # Faust's changelog too: it is stamped by the broker
        before = {topic: self._cluster.ends(topic, plan.partitions) for topic in outputs}
        load = os.getloadavg()[0]
        spent = self._watch(contestant, plan, outputs[1], before[outputs[1]])
        changelog, verdicts = (self._read(plan, topic, before[topic]) for topic in outputs)
        self._cluster.delete([f"{plan.app_id}-", plan.changelog, plan.verdicts, f"{QUIX}{plan.group}-"])
        _refuse_unequal(contestant, self._turns, changelog, verdicts)
        return _measured(contestant.key, number, changelog, verdicts, spent, load), sizes_of(changelog, verdicts)

    def _read(self, plan: Plan, topic: str, start: Offsets) -> Appended:
        return self._cluster.read(topic, start, self._cluster.ends(topic, plan.partitions))

    def _watch(self, contestant: Contestant, plan: Plan, verdicts: str, before: Offsets) -> Spent:
        """Returns the processor time for a turn."""
        folder = Path(plan.folder)
        folder.mkdir(parents=True)
        process = launch(contestant.command(plan), folder)
        try:
            return self._until_committed(contestant, plan, process, verdicts, sum(before.values()))
        finally:
            end_process(process)

    def _until_committed(
        self, contestant: Contestant, plan: Plan, process: subprocess.Popen[bytes], topic: str, before: int
    ) -> Spent:
        first: tuple[int, Spent] | None = None
        deadline, done = time.monotonic() + DEADLINE_SECONDS, 0
        while done < self._turns or self._committed(plan) < self._turns:
            if process.poll() is not None:
                last = (Path(plan.folder) / "stderr").read_text(errors="replace").strip().splitlines()[-1:]
                raise RaceError(f"{contestant.key} ended after {done} of {self._turns} verdicts: {''.join(last)}")
            if time.monotonic() > deadline:
                raise RaceError(f"{contestant.key} had {done} of {self._turns} verdicts after {DEADLINE_SECONDS:g} s")
            time.sleep(POLL_SECONDS)
            done = sum(self._cluster.ends(topic, plan.partitions).values()) - before
            if done and first is None:
                first = (done, Spent.of([process.pid], self._broker))
        assert first is not None
        return Spent.of([process.pid], self._broker).for_each(done - first[0], first[1])

    def _committed(self, plan: Plan) -> int:
        return sum(self._cluster.committed(plan.group, plan.turns, plan.partitions).values())


def launch(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """A contestant's process, whose output goes to `stderr` in its folder; no setting of ours reaches it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AEGIS_")}
    paths = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    with (folder / "stderr").open("wb") as errors:
        return subprocess.Popen(command, env={**environ, "PYTHONPATH": paths}, stdout=errors, stderr=errors)


def outputs_of(module: str, plan: Plan) -> tuple[str, str]:
    """Changelog and verdicts."""
    if module == "worker":
        return f"{plan.app_id}-state-changelog", f"{plan.prefix}verdicts.v1"
    # quixstreams and Faust name the changelogs of their tables themselves.
    own = {"quix": f"{QUIX}{plan.group}--{plan.turns}--default", "faust_plain": f"{plan.group}-state-changelog"}
    return own.get(module, plan.changelog), plan.verdicts


def _refuse_unequal(contestant: Contestant, turns: int, changelog: Appended, verdicts: Appended) -> None:
    if verdicts.count != turns or changelog.count < turns:
        raise RaceError(
            f"{contestant.key} wrote {verdicts.count} verdicts and {changelog.count} changelog records of {turns} turns"
        )


def _measured(key: str, number: int, changelog: Appended, verdicts: Appended, spent: Spent, load: float) -> Run:
    start = min(verdicts.records)
    end = max(*verdicts.records, *changelog.records)
    seconds = max(end - start, 1) / 1000
    later = verdicts.count - verdicts.records[start]
    written = sum(topic.key_bytes + topic.value_bytes for topic in (changelog, verdicts)) / verdicts.count
    return Run(key, number, verdicts.count, seconds, later / seconds, spent.own, written, load, spent.broker)


def sizes_of(changelog: Appended, verdicts: Appended) -> Sizes:
    """Mean sizes, rounded; the few claim records do not count."""
    return Sizes(
        changelog_key=round(changelog.key_bytes / changelog.count),
        changelog_value=round(changelog.value_bytes / changelog.count),
        verdict=round(verdicts.value_bytes / verdicts.count),
    )


def cpu_seconds(pid: int) -> float:
    """Processor time that a process of ours has used, all its threads, in user and system mode (Linux)."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def chosen(keys: Iterable[str]) -> tuple[Contestant, ...]:
    """The contestants of these keys, in the report's order; all for none."""
    wanted = set(keys)
    return tuple(contestant for contestant in CONTESTANTS if not wanted or contestant.key in wanted)


def end_process(process: subprocess.Popen[Any]) -> None:
    """By SIGTERM, after a while by SIGKILL."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
