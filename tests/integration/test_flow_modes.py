"""Experts are enabled, shadowed and disabled by command while traffic runs: verdicts follow, and no turn is lost,
decided twice, or decided by who does not vote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream.commands.experts_modes import COMMANDS
from stream.errors import SettingsError
from stream.records import Verdict, Weights
from support.fake_worker import CHOSEN, SPARES
from support.flow import Flow, flowing, label, turn, unique
from support.kafka import eventually_async

LOW, HIGH, SPARE = 0.2, 0.6, 0.9
COMMAND = {command.name: command for command in COMMANDS}
DEADLINE = 60.0


@pytest.fixture
def flow(broker: str, tmp_path: Path) -> Iterator[Flow]:
    """Two experts that vote, and two that the worker does not start with: one can be loaded, one cannot."""
    experts = {CHOSEN: f"{LOW},{HIGH}", SPARES: f"{SPARE},broken"}
    for number in range(4):
        folder = tmp_path / "experts" / f"expert{number}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"kind": "lexical"}))
    names = ("expert0", "expert1")
    with flowing(
        broker, tmp_path, environ=experts, partitions=2, experts_dir=tmp_path / "experts", experts=names
    ) as flowed:
        yield flowed


async def aegis(flow: Flow, mode: str, name: str) -> Result:
    """`aegis experts MODE NAME`, as a process of its own would run it."""
    environ = flow.settings.environment()
    return await asyncio.to_thread(CliRunner().invoke, COMMAND[mode], [name], env=environ)


async def set_mode(flow: Flow, mode: str, name: str) -> None:
    result = await aegis(flow, mode, name)
    assert result.exit_code == 0, result.output


@asynccontextmanager
async def traffic(flow: Flow) -> AsyncIterator[list[str]]:
    """Turns without a pause; the ids of those that the broker has."""
    sent: list[str] = []
    ended = asyncio.Event()

    async def send() -> None:
        while not ended.is_set():
            names = [unique("busy") for _ in range(50)]
            await flow.turns(*map(turn, names))
            sent.extend(names)

    sending = asyncio.create_task(send())
    try:
        yield sent
    finally:
        ended.set()
        await sending


async def until_decided_by(flow: Flow, **statuses: str) -> Verdict:
    """The first verdict of a fresh turn whose experts have exactly these statuses, in this order."""
    wanted = list(statuses.items())

    async def decided() -> Verdict | None:
        name = unique("asked")
        await flow.turns(turn(name))
        (verdict,) = await flow.verdicts(name)
        return verdict if [(opinion.name, opinion.status) for opinion in verdict.experts] == wanted else None

    found = await eventually_async(decided, DEADLINE, f"a verdict by {wanted}")
    assert isinstance(found, Verdict)
    return found


async def until_told(flow: Flow, rounds: int) -> Weights:
    return await flow.weights("default/user", lambda weights: weights.rounds == rounds)


async def test_verdicts_follow_the_commands_while_traffic_runs_and_nothing_is_lost(flow: Flow) -> None:
    async with traffic(flow) as sent:
        both = await until_decided_by(flow, expert0="ok", expert1="ok")
        assert both.score == pytest.approx((LOW + HIGH) / 2)
        await set_mode(flow, "disable", "expert1")
        alone = await until_decided_by(flow, expert0="ok")
        assert alone.score == pytest.approx(LOW)
        await set_mode(flow, "shadow", "expert2")
        beside = await until_decided_by(flow, expert0="ok", expert2="shadow")
        assert beside.score == pytest.approx(LOW)
        assert beside.experts[1].weight == 0.0
        assert beside.experts[1].score == pytest.approx(SPARE)
        await set_mode(flow, "enable", "expert2")
        await set_mode(flow, "enable", "expert1")
        three = await until_decided_by(flow, expert0="ok", expert1="ok", expert2="ok")
        assert three.score == pytest.approx((LOW + HIGH + SPARE) / 3)
        assert len(sent) >= 50
    await flow.sound(sent)


async def test_a_shadow_is_learned_about_and_what_the_others_learned_is_kept(flow: Flow) -> None:
    first = unique("first")
    await flow.turns(turn(first))
    await flow.verdicts(first)
    await flow.labels(label(first, "unsafe"))
    told = await until_told(flow, 1)
    assert [(e.id, round(e.loss, 6)) for e in told.experts] == [("expert0@1", 0.64), ("expert1@1", 0.16)]

    await set_mode(flow, "disable", "expert1")
    await set_mode(flow, "shadow", "expert2")
    beside = await until_decided_by(flow, expert0="ok", expert2="shadow")
    await flow.labels(label(beside.turn_id, "unsafe"))
    told = await until_told(flow, 2)
    assert [(e.id, round(e.loss, 6)) for e in told.experts] == [
        ("expert0@1", 1.28),
        ("expert1@1", 0.16),
    ]
    assert [e.weight for e in told.experts] == [1.0, 0.0]
    assert [(e.id, round(e.loss, 6), round(e.regret, 6)) for e in told.shadows] == [("expert2@1", 0.01, 0.63)]
    assert not told.alarm

    await set_mode(flow, "enable", "expert1")
    again = await until_decided_by(flow, expert0="ok", expert1="ok", expert2="shadow")
    assert again.experts[1].weight > again.experts[0].weight, "what it learned before it was disabled counts again"
    await set_mode(flow, "enable", "expert2")
    three = await until_decided_by(flow, expert0="ok", expert1="ok", expert2="ok")
    assert three.experts[2].weight > 0.0


async def test_what_cannot_be_followed_is_refused_or_logged_and_the_panel_stays(flow: Flow) -> None:
    await set_mode(flow, "enable", "expert3")
    (said,) = await eventually_async(lambda: flow.worker.events("expert_mode_not_followed"), DEADLINE)
    assert (said["expert"], "broken on purpose" in said["reason"]) == ("expert3", True)
    noted = await aegis(flow, "shadow", "nobody")
    assert noted.exit_code == 0
    assert "there is no expert nobody here, only expert0" in noted.stderr
    await eventually_async(lambda: flow.worker.events("expert_mode_not_followed")[-1]["expert"] == "nobody", DEADLINE)
    await set_mode(flow, "disable", "expert3")
    await set_mode(flow, "disable", "nobody")
    await until_decided_by(flow, expert0="ok", expert1="ok")
    await set_mode(flow, "disable", "expert0")
    for mode in ("disable", "shadow"):
        last = await aegis(flow, mode, "expert1")
        assert isinstance(last.exception, SettingsError)
        assert f"the last expert that votes: enable another one before you {mode} it" in str(last.exception)
    await until_decided_by(flow, expert1="ok")


async def test_a_worker_that_starts_later_follows_before_its_first_turn(flow: Flow) -> None:
    await set_mode(flow, "shadow", "expert1")
    await set_mode(flow, "enable", "expert2")
    await until_decided_by(flow, expert0="ok", expert1="shadow", expert2="ok")
    flow.worker.kill()
    waiting = [unique("waiting") for _ in range(20)]
    await flow.turns(*map(turn, waiting))
    flow.worker.start().ready()
    for verdict in await flow.verdicts(*waiting):
        assert [opinion.status for opinion in verdict.experts] == ["ok", "shadow", "ok"]
