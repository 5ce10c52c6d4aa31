"""What the demonstration needs around it: a broker, topics of its own, a worker; all of it put away at the end."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from stream import broker as embedded
from stream import topics_admin
from stream.errors import StreamError
from stream.settings import PREFIX, Settings

FOLDER = Path(".aegis/demo")
LAST_RUN = "last-run"
WORKER_LOG = "worker.log"
READY_SECONDS = 90.0
"""For the worker to load its experts and join: about 6 s on two idle cores."""
STOP_SECONDS = 20.0

Note = Callable[[str], None]


class DemoError(StreamError):
    """The demonstration cannot go on."""


@asynccontextmanager
async def stage(note: Note) -> AsyncIterator[Settings]:
    """A running worker on topics of its own; yields its settings. Ends whatever was started here, whatever happens."""
    async with _broker(note) as bootstrap:
        settings = await _topics(bootstrap, note)
        async with _worker(settings, note):
            yield settings


@asynccontextmanager
async def _broker(note: Note) -> AsyncIterator[str]:
    named = os.environ.get(f"{PREFIX}BROKER")
    running = None if named else await asyncio.to_thread(embedded.status)
    if named or running:
        bootstrap = named or (running.bootstrap if running else "")
        note(f"using the broker at {bootstrap}")
        yield bootstrap
        return
    note("starting a broker (Apache Kafka) on this machine")
    began = time.monotonic()
    port = embedded.PORT if embedded.is_free(embedded.PORT) else embedded.free_port()
    starting = asyncio.ensure_future(asyncio.to_thread(embedded.start, embedded.DIRECTORY, port))
    try:
        started = await asyncio.shield(starting)
        note(f"broker up on {started.bootstrap} in {time.monotonic() - began:.1f} s")
        yield started.bootstrap
    finally:
        await asyncio.wait([starting])  # a thread cannot be interrupted: what it starts must be known to be stopped
        starting.result()
        await asyncio.shield(asyncio.to_thread(embedded.stop))
        note("broker stopped; its data stays for a later look")


async def _topics(bootstrap: str, note: Note) -> Settings:
    """Topics that no run had before: the group's offsets of an earlier one would not fit them. The last run's go."""
    if last := _last_run():
        await topics_admin.delete(_settings(bootstrap, last))
    name = f"demo-{int(time.time())}"
    _remember_run(name)
    settings = _settings(bootstrap, name)
    await topics_admin.create(settings)
    note(f"topics made: {settings.topic_prefix}turns.v1 and the others of the contract")
    return settings


def _last_run() -> str | None:
    with contextlib.suppress(FileNotFoundError):
        return (FOLDER / LAST_RUN).read_text().strip() or None
    return None


def _remember_run(name: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / LAST_RUN).write_text(name)


def _settings(bootstrap: str, name: str) -> Settings:
    return Settings.load(
        broker=bootstrap,
        app_id=name,
        topic_prefix=f"{name}.",
        partitions=4,
        data_dir=FOLDER / "state",
        store="memory",
        tenant_policies={"globex": "defensive"},
        log_format="json",
    )


@asynccontextmanager
async def _worker(settings: Settings, note: Note) -> AsyncIterator[None]:
    note("starting a worker with the shipped experts")
    began = time.monotonic()
    log = FOLDER / WORKER_LOG
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stream", "worker", env=settings.environment(), stdout=sink, stderr=sink
        )
    try:
        await _await_ready(process, log)
        note(f"worker ready in {time.monotonic() - began:.1f} s (policy: acme permissive, globex defensive)")
        yield
    finally:
        await asyncio.shield(_end(process))


async def _await_ready(process: asyncio.subprocess.Process, log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while not any('"worker_ready"' in line for line in _lines(log)):
        if process.returncode is not None or time.monotonic() > end:
            said = _lines(log) or ["nothing was logged"]
            state = "ended" if process.returncode is not None else f"was not ready after {READY_SECONDS:g} s"
            raise DemoError(f"the worker {state}: {said[-1]} (all of it: {log})")
        await asyncio.sleep(0.1)


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").strip().splitlines()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
    if process.returncode is None:
        process.kill()
        await process.wait()
