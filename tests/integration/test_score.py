"""`aegis score` says what a real worker says of the same turns."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from experts.executor import Panel
from stream.__main__ import cli
from stream.settings import Settings
from stream.topics import TopicNames
from support.fake_worker import CHOSEN, expert
from support.kafka import consume_until
from support.worker_process import WorkerProcess, environment

OF_THE_PLACE = ("source", "scored_at", "latency_ms")


def turn(number: int) -> str:
    value = {
        "turn_id": f"t{number}",
        "conversation_id": f"c{number % 5}",
        "role": ("user", "assistant", "system")[number % 3],
        "text": f"text {number}",
        "sent_at": "2026-01-01T00:00:00Z",
        "tenant": ("default", "acme")[number % 2],
        "history": [{"role": "user", "text": "before"}] if number % 4 else [],
        "metadata": {"number": str(number)},
    }
    return json.dumps(value)


def by_turn(lines: list[bytes] | list[str]) -> dict[str, Any]:
    verdicts = [json.loads(line) for line in lines]
    return {v["turn_id"]: {key: v[key] for key in v if key not in OF_THE_PLACE} for v in verdicts}


def test_the_verdicts_offline_are_those_of_a_worker_that_has_learned_nothing(
    topics: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = topics.model_copy(
        update={
            "session_timeout": 6.0,
            "heartbeat": 1.0,
            "tenant_policies": {"acme": "defensive"},
            "conversations": "off",  # offline, what was said before a turn is what its line says
        }
    )
    text = "".join(turn(number) + "\n" for number in range(200))
    runner = CliRunner(env=environment(settings))
    kinds = ("instant", "instant", "recalling")
    with WorkerProcess(settings, tmp_path / "log", **{CHOSEN: ",".join(kinds)}):
        assert runner.invoke(cli, ["produce", "-"], input=text).exit_code == 0
        names = TopicNames.of(settings)
        online = asyncio.run(consume_until(settings.broker, names.verdicts, lambda read: len(read) == 200, deadline=60))
    experts = [expert(number, kind) for number, kind in enumerate(kinds)]
    monkeypatch.setattr("stream.commands.score.open_panel", lambda settings, on_failure: Panel(experts))
    offline = runner.invoke(cli, ["score", "-"], input=text)
    assert (offline.exit_code, offline.stderr) == (0, "")
    assert by_turn(offline.stdout.splitlines()) == by_turn([record.value for record in online])
