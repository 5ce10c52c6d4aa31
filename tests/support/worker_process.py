"""A worker as a process of its own: started, killed, paused, and asked what it logged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from stream.settings import PREFIX, Settings
from support.kafka import eventually

ROOT: Final = Path(__file__).resolve().parents[2]
FAKE: Final = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
"""A worker with experts that answer at once."""
REAL: Final = (sys.executable, "-m", "stream", "worker")
READY_SECONDS, STOP_SECONDS = 60.0, 60.0
"""Deadlines on a busy machine, not expectations: a worker is ready in about 4 s and stops in about 1."""


class WorkerProcess:
    """One worker under these settings; it may be started again after it has ended, and logs on in the same file."""

    def __init__(self, settings: Settings, log: Path, command: Sequence[str] = FAKE, **environ: str) -> None:
        self.settings = settings
        self.log = log
        self._command = command
        self._environ = {**environment(settings), **environ}
        self._process: subprocess.Popen[bytes] | None = None
        self._begins = 0

    def configure(self, settings: Settings, **environ: str) -> None:
        """From the next start on: other settings, and other variables besides."""
        self.settings = settings
        self._environ = {**environment(settings), **environ}

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the worker was not started"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Begin; `ready` tells when it works."""
        assert not self.running, "the worker runs already"
        with self.log.open("ab") as log:
            self._begins = log.tell()
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def ready(self, deadline: float = READY_SECONDS) -> Self:
        """Wait until it has its partitions; fails with its log if it ends instead."""

        def is_ready() -> bool:
            self.assert_running()
            return bool(self.events("worker_ready"))

        eventually(is_ready, deadline, "worker_ready")
        return self

    def kill(self) -> None:
        """SIGKILL: nothing is drained, committed or closed."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def terminate(self, deadline: float = STOP_SECONDS) -> int:
        """SIGTERM: returns the exit code when all is drained and committed."""
        self.process.terminate()
        return self.wait(deadline)

    def wait(self, deadline: float = STOP_SECONDS) -> int:
        """The exit code, once it has ended by itself."""
        return self.process.wait(deadline)

    def text(self) -> str:
        """What it wrote since it was last started."""
        with self.log.open("rb") as log:
            log.seek(self._begins)
            return log.read().decode(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log events of that name since it was last started."""
        lines = [line for line in self.text().split("\n")[:-1] if line.startswith("{")]
        return [event for line in lines if (event := json.loads(line)).get("event") == name]

    def assert_running(self) -> None:
        """It has not ended; fails with the end of its log."""
        assert self.running, f"the worker ended with {self.process.returncode}:\n{self.text()[-3000:]}"

    def assert_no_traceback(self) -> None:
        """Nothing that it wrote, in any of its lives, is a traceback or a warning of Python's."""
        whole = self.log.read_text(errors="replace")
        plain = "\n".join(line for line in whole.splitlines() if not line.startswith("{"))  # Faust's events warn, too
        for sign, text in (("Traceback (most recent", whole), ("Warning:", plain), ("was never retrieved", whole)):
            assert sign not in text, f"{self.log}: {text[max(0, text.index(sign) - 500) :][:3000]}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Ends what runs. After a test that passed, stopping must succeed too, and the log be clean."""
        if kind is not None:
            if self.running:
                self.kill()  # also ends a paused one
            print(self.text()[-3000:])
            return
        if self.running:
            assert self.terminate() == 0, self.text()[-3000:]
        self.assert_no_traceback()


def environment(settings: Settings) -> dict[str, str]:
    """The variables of a process with these settings; none of this process's own."""
    return {**settings.environment(), f"{PREFIX}LOG_FORMAT": "json"}
