"""Experts that read more than the turn are told what was said before it, also by a worker that was killed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream import state
from stream.records import Turn, Utterance, Verdict
from stream.settings import Settings
from stream.topics import TopicNames
from support.fake_worker import CHOSEN
from support.flow import Flow, made, turn
from support.logs import Logs
from support.recall import expected_scores
from support.worker_process import WorkerProcess

CONVERSATIONS, LENGTH = 12, 40
PART = CONVERSATIONS * LENGTH // 2
"""Turns between two kills."""


@pytest.fixture(params=["memory", "rocksdict"])
def kept(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(broker: str, tmp_path: Path, kept: str) -> Iterator[Settings]:
    short = {"session_timeout": 6.0, "heartbeat": 2.0}
    # A budget of a few turns, so that the oldest go while the worker is killed.
    with made(broker, tmp_path, partitions=2, store=kept, conversation_tokens=100, **short) as settings:
        yield settings


def conversations() -> list[Turn]:
    """Questions and answers of several people at once; one of them brings its own history."""
    told = []
    for number in range(LENGTH):
        for person in range(CONVERSATIONS):
            role = ("user", "assistant")[number % 2]
            sent = (Utterance("user", "sent"),) if (person, number) == (3, 7) else ()
            text = f"{person} says {number}, " + "and so on, " * (number % 5)
            name = f"{person}-{number}"
            told.append(turn(name, text, conversation_id=f"c{person}", role=role, history=sent))
    return told


def scores(logs: Logs) -> dict[str, float | None]:
    """What the recalling expert said of each turn."""
    verdicts = [msgspec.json.decode(record.value, type=Verdict) for record in logs.verdicts]
    return {verdict.turn_id: verdict.experts[0].score for verdict in verdicts}


@pytest.mark.slow
def test_a_turns_history_is_what_was_said_before_it_through_kills(settings: Settings, tmp_path: Path) -> None:
    told, names = conversations(), TopicNames.of(settings)
    worker = WorkerProcess(settings, tmp_path / "worker.log", **{CHOSEN: "recalling,instant"})
    for begin in range(0, len(told), PART):
        worker.start().ready()
        flow = Flow(settings, names, worker)
        again = told[max(0, begin - 20) : begin]  # sent twice: counted once
        asyncio.run(flow.turns(*again, *told[begin : begin + PART]))
        asyncio.run(flow.verdicts(*(turn.turn_id for turn in told[begin : begin + PART // 4])))
        worker.kill()
    with worker:
        worker.ready()
        logs, _ = asyncio.run(Flow(settings, names, worker).sound(turn.turn_id for turn in told))
    given = scores(logs)
    assert given == pytest.approx(expected_scores(logs.turns, settings), abs=1e-6)
    assert len(given) == len(told)
    assert "and so on" not in worker.log.read_text()


@pytest.mark.parametrize("kept", ["memory"], indirect=True)
def test_switched_off_no_text_is_kept_and_what_was_kept_is_not_read(settings: Settings, tmp_path: Path) -> None:
    names, log = TopicNames.of(settings), tmp_path / "worker.log"
    with WorkerProcess(settings, log, **{CHOSEN: "recalling"}) as worker:
        worker.ready()
        asyncio.run(Flow(settings, names, worker).turns(turn("t0", "kept", conversation_id="c")))
        asyncio.run(Flow(settings, names, worker).verdicts("t0"))
    off = settings.model_copy(update={"conversations": "off"})
    with WorkerProcess(off, log, **{CHOSEN: "recalling"}) as worker:
        flow = Flow(off, names, worker.ready())
        later = [turn(f"t{number}", "not kept", conversation_id="c") for number in range(1, 4)]
        asyncio.run(flow.turns(*later))
        logs, _ = asyncio.run(flow.sound(turn.turn_id for turn in later))
    _, *others = expected_scores(logs.turns, off).items()
    assert {name: scores(logs)[name] for name, _ in others} == pytest.approx(dict(others), abs=1e-6)
    assert sum(is_conversation(record) for record in logs.changelog) == 1
    assert not [record for record in logs.changelog if b"not kept" in (record.value or b"")]


def is_conversation(record: Any) -> bool:
    return bool(record.key[:1] == state.CONVERSATION)
