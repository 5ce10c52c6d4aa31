"""A real browser, and the console as a process of its own, for tests of its pages.

Playwright's synchronous API keeps an event loop running in its thread, in which nothing of ours can run: `aside` runs a
coroutine beside it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect, sync_playwright

from stream.settings import Settings
from support.kafka import eventually
from support.worker_process import ROOT, environment

T = TypeVar("T")
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS: Final = 30.0
"""Deadline for anything to be seen, on a busy machine; not an expectation."""
STOP_SECONDS: Final = 60.0
expect.set_options(timeout=SECONDS * 1000)
TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def chromium() -> str:
    """Where the system's Chromium is; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("there is no chromium on this machine (Debian: apt install chromium)")
    return found


@contextmanager
def browsing() -> Iterator[Browser]:
    """A headless browser of the system's own."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def aside(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, run on a loop of its own in another thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class ConsoleProcess:
    """`aegis console` under these settings. Started again, it has the same port."""

    def __init__(self, settings: Settings, log: Path, *options: str) -> None:
        self._environ = environment(settings)
        self._log = log
        self._options = options
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the console was not started"
        return self._process.pid

    @property
    def address(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Returns when it listens; fails with its log if it ends instead."""
        command = [sys.executable, "-m", "stream", "console", "--port", str(self._port), *self._options]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._port = eventually(self._listening, 60.0, "the console") or 0
        return self

    def _listening(self) -> int | None:
        assert self._process is not None
        said = self._log.read_text(errors="replace")
        assert self._process.poll() is None, f"the console ended with {self._process.returncode}:\n{said[-3000:]}"
        found = re.search(r"the console is at http://[^:]+:(\d+)", said)
        return None if found is None else int(found[1])

    def stop(self) -> None:
        """SIGTERM: it must end well, and have logged no traceback."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(STOP_SECONDS)
        said = self._log.read_text(errors="replace")
        assert code == 0, said[-3000:]
        assert "Traceback (most recent" not in said, said[-3000:]
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process is None:
            return
        if kind is None:
            self.stop()
            return
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        print(self._log.read_text(errors="replace")[-3000:])


def complaints(page: Page) -> list[str]:
    """What the page's scripts raise or log as an error from now on, a broken policy of its contents among it."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found


def barriers(page: Page) -> list[str]:
    """What axe-core finds serious or critical on a page: the rule, and where it is broken."""
    # Chromium's own evaluation is not bound by the page's policy, so the script needs no exception from it.
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": list(TAGS)}, "resultTypes": ["violations"]})
    return [
        f"{violation['id']}: {', '.join(str(node['target']) for node in violation['nodes'])}"
        f" ({violation['nodes'][0]['failureSummary']})"
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
