"""What a real worker answers to probes in each condition: that it is well, that it is ready, and why it is not."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from stream import broker as embedded
from stream import state, topics_admin
from stream.__main__ import cli
from stream.condition import SILENCE_SECONDS
from stream.settings import Settings
from stream.topics import TopicNames
from support.broker import Namespace
from support.flow import Flow, made, turn
from support.kafka import Record, eventually, produce
from support.worker_process import WorkerProcess, environment

Answer = tuple[int, str]
DOWN: Answer = (0, "")
WELL: Answer = (200, "ok\n")
READY: Answer = (200, "ready\n")
GATE = "AEGIS_TEST_GATE"


def answer_of(worker: WorkerProcess, path: str) -> Answer:
    """Status and text; DOWN while nothing listens, or nothing answers."""
    try:
        with urlopen(f"http://127.0.0.1:{worker.settings.http_port}/{path}", timeout=5.0) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as refused:
        return refused.code, refused.read().decode()
    except (URLError, ConnectionError, TimeoutError):
        return DOWN


def readiness(worker: WorkerProcess, says: str, deadline: float = 60.0) -> None:
    """Waits until `/readyz` says so, with the status that goes with it."""

    def told() -> bool:
        worker.assert_running()
        status, text = answer_of(worker, "readyz")
        return says in text and status == (200 if says == READY[1] else 503)

    eventually(told, deadline, f"/readyz: {says}")


def metric(worker: WorkerProcess, line: str) -> None:
    """Waits until `/metrics` has this line."""
    eventually(lambda: f"\n{line}\n" in answer_of(worker, "metrics")[1], awaited=line)


def worker_of(settings: Settings, folder: Path, name: str = "worker", **environ: str) -> WorkerProcess:
    own = {"http_port": embedded.free_port(), "data_dir": folder / f"state-{name}"}
    return WorkerProcess(settings.model_copy(update=own), folder / f"{name}.log", **environ)


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Iterator[Settings]:
    own = {"session_timeout": 6.0, "heartbeat": 2.0, "stall_timeout": 16.0, "expert_timeout": 60.0}
    with made(broker, tmp_path, partitions=2, **own) as settings:
        yield settings


def test_a_worker_whose_partition_stands_says_so_and_one_that_is_told_to_end_says_that(
    settings: Settings, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    names = TopicNames.of(settings)
    experts = {"AEGIS_TEST_EXPERTS": "gated", GATE: str(gate)}
    with worker_of(settings, tmp_path, **experts) as worker:
        flow = Flow(worker.settings, names, worker.ready())
        readiness(worker, READY[1])
        metric(worker, 'aegis_condition{condition="ready"} 1.0')
        gate.unlink()
        (place,) = asyncio.run(flow.turns(turn("stands")))
        readiness(worker, "records wait in a partition that has stood for")
        assert answer_of(worker, "healthz") == WELL
        metric(worker, 'aegis_condition{condition="stalled"} 1.0')
        metric(worker, f'aegis_lag_records{{partition="{place.partition}",topic="turns"}} 1.0')
        assert oldest(worker, place.partition) > 7.0
        gate.touch()
        readiness(worker, READY[1])
        metric(worker, f'aegis_oldest_input_seconds{{partition="{place.partition}",topic="turns"}} 0.0')

        gate.unlink()
        asyncio.run(flow.turns(turn("drained")))
        metric(worker, f'aegis_lag_records{{partition="{flow_partition(worker)}",topic="turns"}} 1.0')
        worker.process.terminate()
        readiness(worker, "draining: it was told to end")
        assert answer_of(worker, "healthz") == WELL
        gate.touch()
        assert worker.wait() == 0, worker.text()[-3000:]


def oldest(worker: WorkerProcess, partition: int) -> float:
    name = f'aegis_oldest_input_seconds{{partition="{partition}",topic="turns"}} '
    lines = answer_of(worker, "metrics")[1].splitlines()
    return float(next(line for line in lines if line.startswith(name)).removeprefix(name))


def flow_partition(worker: WorkerProcess) -> int:
    """Which partition has a turn that waits, once one has."""
    names = {number: f'\naegis_lag_records{{partition="{number}",topic="turns"}} 1.0\n' for number in range(2)}

    def waiting() -> list[int]:
        text = answer_of(worker, "metrics")[1]
        return [number for number, line in names.items() if line in text]

    return eventually(waiting, awaited="a turn that waits")[0]


def begins_at_the_beginning(settings: Settings) -> bool:
    """Commits where a worker that finds a state is to go on; a young broker is still loading its groups."""
    sought = CliRunner().invoke(cli, ["topics", "seek", "--to", "earliest"], env=environment(settings))
    assert sought.exit_code == 0 or "GroupLoadInProgress" in sought.output, sought.output
    return sought.exit_code == 0


def test_a_worker_that_reads_its_changelog_says_how_far_it_is_and_one_whose_expert_died_asks_for_a_restart(
    settings: Settings, tmp_path: Path
) -> None:
    said = state.Conversation(state.SCHEMA_VERSION, 2**41, 0, 600, (0,), (("user", "x" * 500),))
    value = state.encode(said)
    filling = [Record(value, state.conversation_key("default", f"c{n}"), partition=n % 2) for n in range(15_000)]
    asyncio.run(produce(settings.broker, TopicNames.of(settings).changelog, filling))
    eventually(lambda: begins_at_the_beginning(settings), awaited="committed offsets")
    seen = dict[str, Answer]()
    with worker_of(settings, tmp_path, AEGIS_TEST_EXPERTS="0.5,dying") as worker:
        while not worker.events("worker_ready"):
            worker.assert_running()
            status, text = answer_of(worker, "readyz")
            if status:
                seen.setdefault(text.split(" of ")[0].rstrip("0123456789,\n"), (status, text))
                assert answer_of(worker, "healthz") == WELL
            time.sleep(0.002)
        assert "not ready: recovering: " in seen, seen
        assert {status for status, _ in seen.values()} <= {503, 200}
        readiness(worker, READY[1])
        flow = Flow(worker.settings, TopicNames.of(settings), worker)
        asyncio.run(flow.turns(turn("fatal")))
        asyncio.run(flow.verdicts("fatal"))  # the other expert decides
        readiness(worker, "thread expert-expert1@1 died of MemoryError")
        status, text = answer_of(worker, "healthz")
        assert (status, text[:17]) == (503, "to be restarted: ")
        metric(worker, 'aegis_condition{condition="expert_dead"} 1.0')


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_broker_that_does_not_answer_makes_no_worker_unwell_and_none_ready(tmp_path: Path) -> None:
    """A restart would not mend it. When it answers again, all is well again."""
    running = embedded.start(tmp_path / "broker", embedded.free_port())
    try:
        settings = Namespace.new().settings(running.bootstrap, partitions=2, session_timeout=60.0, store="memory")
        asyncio.run(topics_admin.create(settings))
        with worker_of(settings, tmp_path) as worker:
            worker.ready()
            readiness(worker, READY[1])
            with stopped(running.pid):
                readiness(worker, "no broker has answered for", SILENCE_SECONDS + 30.0)
                assert answer_of(worker, "healthz") == WELL
                metric(worker, "aegis_ready 0.0")
            readiness(worker, READY[1])
    finally:
        embedded.stop(tmp_path / "broker")


def test_a_worker_that_waits_for_its_broker_from_the_start_is_well_and_starting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Namespace.new().settings(f"127.0.0.1:{silent.getsockname()[1]}", store="memory")
        with worker_of(settings, tmp_path) as worker:
            readiness(worker, "starting: it checks its topics")
            assert answer_of(worker, "healthz") == WELL
            assert worker.terminate() == 0
