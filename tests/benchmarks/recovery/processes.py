"""Workers and peers as processes of their own, and what the system says of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import msgspec

from benchmarks.race import TESTS, RaceError, cpu_seconds
from benchmarks.recovery.peers import Plan, Told, rss_mb
from benchmarks.recovery.results import Run, Sweep
from stream.settings import Settings
from support.worker_process import WorkerProcess

DEADLINE_SECONDS = 900.0
"""For one recovery of a worker: fifty times what a million records need."""
POLL_SECONDS = 0.02
MEGABYTE = 1 << 20


def disk_mb(folder: Path) -> float:
    """What the files under a folder hold."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MEGABYTE if folder.exists() else 0


@dataclass
class Worker:
    """A worker whose recoveries are measured. `began`: when it was last started."""

    settings: Settings
    log: Path
    process: WorkerProcess = field(init=False)
    began: float = 0.0

    def __post_init__(self) -> None:
        self.process = WorkerProcess(self.settings, self.log)

    def start(self) -> Worker:
        self.process.start()
        self.began = time.monotonic()
        return self

    def recovered(self, contestant: str, number: int, ready: Callable[[], bool] | None = None) -> Run:
        """Wait until `ready` (that it says so once), and measure its last recovery."""
        load, process = os.getloadavg()[0], self.process
        since, started = self.began, len(process.events("recovery_started"))
        self._until(lambda: len(process.events("recovery_started")) > started)
        before = cpu_seconds(process.process.pid)
        self._until(ready or (lambda: bool(process.events("worker_ready"))))
        took, after = time.monotonic() - since, cpu_seconds(process.process.pid)
        ended: dict[str, Any] = process.events("recovery_ended")[-1]
        records = ended["records"]
        cpu = 1e6 * (after - before) / records if records else 0.0
        memory, disk = rss_mb(process.process.pid), disk_mb(self.settings.data_dir)
        return Run(contestant, number, records, ended["seconds"], took, cpu, memory, disk, load)

    def _until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            if not self.process.running:
                raise RaceError(f"a worker ended: {self.process.text()[-500:]}")
            if time.monotonic() > end:
                raise RaceError(f"a worker was not ready after {DEADLINE_SECONDS:g} s")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        self.process.terminate()

    def metric(self, name: str) -> float | None:
        """What it says of itself now."""
        try:
            with urlopen(f"http://127.0.0.1:{self.settings.http_port}/metrics", timeout=5.0) as answer:
                lines = answer.read().decode().splitlines()
        except (URLError, TimeoutError):
            return None
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)


def peer(kind: str, plan: Plan, number: int) -> Run:
    """Run one other client."""
    load, began = os.getloadavg()[0], time.monotonic()
    told = msgspec.json.decode(_answer("peers", kind, msgspec.json.encode(plan).decode()), type=Told)
    ready, disk = time.monotonic() - began, disk_mb(Path(plan.folder))
    cpu = 1e6 * told.cpu_seconds / max(told.records, 1)
    return Run(kind, number, told.records, told.seconds, ready, cpu, told.rss_mb, disk, load, told.finished)


def sweep(store: str, records: int, folder: Path) -> Sweep:
    """One look of the expiry."""
    return msgspec.json.decode(_answer("sweep", store, str(records), str(folder)), type=Sweep)


def _answer(module: str, *arguments: str) -> str:
    """The last line that a module of this package prints."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AEGIS_")}
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.recovery.{module}", *arguments],
        env={**environ, "PYTHONPATH": os.pathsep.join([str(TESTS), environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    if done.returncode or not done.stdout.strip():
        raise RaceError(f"{module} {arguments[0]}: {done.stderr.strip()[-500:]}")
    return done.stdout.strip().splitlines()[-1]
