"""Worker processes that are killed and started again: a supervisor, and a diary of what became of each."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chaos.control import PATH, Orders, give
from chaos.worker import SECONDS
from stream.settings import Settings
from support.worker_process import ROOT, WorkerProcess

UNHURRIED = (sys.executable, "-m", "chaos.worker")
POLL_SECONDS = 0.05
HOLE = "did not arrive"
"""What the consumer says when records that were delivered are read again."""
UNREADABLE = 5
"""The exit code of a state that cannot be read; where its line says so, the operator deletes the folder."""
DELETE = "delete the folder"


@dataclass(frozen=True)
class Ending:
    """One process that ended, `at` seconds after the fleet was made. `code` as in subprocess (negative: the signal);
    `said`: the reason that it logged."""

    worker: int
    at: float
    code: int
    said: str


class Slot:
    """Worker number `number`: at most one process at a time, with a folder and a log of its own."""

    def __init__(self, settings: Settings, number: int, expert_seconds: float, folder: Path) -> None:
        self.number = number
        self.state = folder / f"state-{number}"
        self._settings = settings.model_copy(update={"data_dir": self.state})
        self._control = folder / f"control-{number}.json"
        self._orders = Orders()
        self._environ = {SECONDS: str(expert_seconds), PATH: str(self._control)}
        self.worker = WorkerProcess(self._settings, folder / f"worker-{number}.log", UNHURRIED)
        self.run_from(ROOT)
        self.wanted = False
        self.alive = False
        """Started, and its end not yet in the diary."""
        self.starts = 0
        self._unready = 0

    @property
    def ready(self) -> bool:
        """Owns partitions, and did so since it was last frozen."""
        return self.alive and self._assignments() > self._unready

    def run_from(self, tree: Path) -> None:
        """Be of the version whose source tree this is, from the next start on."""
        self._environ["PYTHONPATH"] = os.pathsep.join((str(tree), str(tree / "tests")))
        self.worker.configure(self._settings, **self._environ)

    def grow(self, partitions: int) -> None:
        """Expect so many partitions, from the next start on."""
        self._settings = self._settings.model_copy(update={"partitions": partitions})
        self.worker.configure(self._settings, **self._environ)

    def order(self, **orders: Any) -> None:
        """Change what the process is told from outside."""
        self._orders = msgspec.structs.replace(self._orders, **orders)
        give(self._control, self._orders)

    def spawn(self) -> None:
        """Start a process; what it says is appended to the slot's log."""
        self.worker.start()
        self.alive = True
        self.starts += 1
        self._unready = 0

    def freeze(self) -> None:
        """SIGSTOP."""
        self.worker.pause()
        self._unready = self._assignments()

    def said(self) -> str:
        """Why it ended, by its own account."""
        ended = self.worker.events("worker_ended")
        plain = [line for line in self.worker.text().splitlines() if not line.startswith("{")]
        return str(ended[-1]["reason"]) if ended else "".join(plain[-1:])[:300]

    def _assignments(self) -> int:
        return sum(bool(event["partitions"]) for event in self.worker.events("worker_ready"))


class Fleet:
    """`supervise` starts again whatever ends and is still wanted, and keeps the diary. `brokers`: where each worker
    finds them, if not where the settings say."""

    def __init__(
        self, settings: Settings, workers: int, expert_seconds: float, folder: Path, brokers: Sequence[str] = ()
    ) -> None:
        self.slots = [
            Slot(
                settings.model_copy(update={"broker": brokers[number] if brokers else settings.broker}),
                number,
                expert_seconds,
                folder,
            )
            for number in range(workers)
        ]
        self.endings: list[Ending] = []
        self.began = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the fleet was made."""
        return round(time.monotonic() - self.began, 2)

    async def supervise(self) -> None:
        """For ever."""
        while True:
            for slot in self.slots:
                if slot.alive and not slot.worker.running:
                    self._bury(slot)
                if slot.wanted and not slot.alive:
                    slot.spawn()
            await asyncio.sleep(POLL_SECONDS)

    def _bury(self, slot: Slot) -> None:
        slot.alive = False
        ending = Ending(slot.number, self.age, slot.worker.process.returncode, slot.said())
        self.endings.append(ending)
        if ending.code == UNREADABLE and DELETE in ending.said:
            for folder in slot.state.glob("state-*"):
                shutil.rmtree(folder)

    def join(self, number: int) -> None:
        """Have this worker run, now and after each end."""
        self.slots[number].wanted = True

    async def leave(self, number: int, deadline: float) -> Ending | None:
        """SIGTERM, and wait for the end; None where nothing ran. Raises TimeoutError after `deadline` seconds."""
        slot = self.slots[number]
        slot.wanted = False
        if not slot.alive:
            return None
        slot.worker.process.terminate()
        await self.until(lambda: not slot.alive, deadline, f"worker {number} to end after SIGTERM")
        return next(ending for ending in reversed(self.endings) if ending.worker == number)

    async def kill(self, number: int, deadline: float) -> None:
        """SIGKILL, and wait for the end; one that has just ended by itself is awaited anew, so that a kill kills."""
        slot = self.slots[number]
        await self.until(lambda: slot.worker.running, deadline, f"worker {number} to be there and killed")
        starts = slot.starts
        slot.worker.kill()
        await self.until(lambda: not slot.alive or slot.starts > starts, deadline, f"the end of worker {number}")

    async def ready(self, number: int, deadline: float) -> None:
        """Returns when the worker owns partitions. Raises TimeoutError after `deadline` seconds."""
        await self.until(lambda: self.slots[number].ready, deadline, f"worker {number} to be ready")

    async def until(self, condition: Callable[[], bool], deadline: float, awaited: str) -> None:
        """Returns when the condition holds. Raises TimeoutError that names what was awaited."""
        end = time.monotonic() + deadline
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {deadline:g} s in vain for {awaited}")
            await asyncio.sleep(POLL_SECONDS)

    def holes(self) -> int:
        """How often records that had been delivered were read again."""
        return sum(slot.worker.log.read_text(errors="replace").count(HOLE) for slot in self._used())

    def unclean(self) -> list[str]:
        """Tracebacks and warnings of Python's that any process wrote in its life."""
        found = []
        for slot in self._used():
            try:
                slot.worker.assert_no_traceback()
            except AssertionError as error:
                found.append(str(error))
        return found

    def destroy(self) -> None:
        """Leave no process behind, whatever happened."""
        for slot in self.slots:
            slot.wanted = False
            if slot.starts and slot.worker.running:
                slot.worker.kill()

    def _used(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.starts]
