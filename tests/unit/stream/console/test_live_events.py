"""Records in, events out: what a browser gets, and what one that comes back gets. Without a broker."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from pydantic_core import to_jsonable_python

from stream import dead_letters
from stream.codecs import encode
from stream.console.live import hub as of_hub
from stream.console.live.hub import Hub
from stream.console.live.state import Live
from stream.records import ExpertMode, Label, Opinion, Source, Standing, Verdict, Weights
from stream.settings import Settings
from stream.topics import TopicNames
from support.served import served

NOW = 1_800_000_000.0


@dataclass
class Record:
    """As much of aiokafka's as is read."""

    value: bytes | None
    key: bytes | None = b"k"
    timestamp: int = int(NOW * 1000)
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    partition: int = 0
    offset: int = 0
    topic: str = "t"


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live(clock: Clock) -> Live:
    live = Live(Settings(), clock=clock)
    live.link.up(NOW)
    return live


NAMES = TopicNames.of(Settings())


def verdict(turn_id: str = "t", context: str = "acme/user", score: float | None = 0.9) -> bytes:
    opinions = (Opinion("lexical", "1", score, 1.0, "ok"),)
    return encode(
        Verdict(
            turn_id, "c", "acme", "user", "unsafe", score, "permissive", {}, opinions, context,
            1, Source("t", 0, 0), datetime.now(UTC), 50, {"secret": "of the producer"},
        )
    )  # fmt: skip


def weights(context: str = "acme/user", rounds: int = 5) -> bytes:
    told = (Standing("lexical@1", 1.0, 2.0, 1.0),)
    return encode(Weights(context, "permissive", rounds, 0, datetime.now(UTC), told, 3.0, 4.0, 0.0, False))


def parse(event: bytes) -> tuple[str, str, dict[str, Any]]:
    """Its kind, its id and its data."""
    fields = dict(line.split(": ", 1) for line in event.decode().strip().split("\n"))
    return fields["event"], fields["id"], json.loads(fields["data"])


def test_every_topic_finds_its_place(live: Live, clock: Clock) -> None:
    live.take(NAMES.verdicts, [Record(verdict()), Record(verdict("asleep", score=None))])
    live.take(NAMES.labels, [Record(encode(Label("t", "c", "unsafe", "ann", datetime.now(UTC))))])
    live.take(NAMES.weights, [Record(weights())])
    live.take(NAMES.experts, [Record(encode(ExpertMode("shadow", datetime.now(UTC))), b"lexical")])
    live.take(NAMES.dead_letters, [Record(b"words", headers=[(dead_letters.REASON, b"not_json")])])
    clock.now += 10
    parts = {name: json.loads(part) for name, part in live.parts(live.advance()).items()}
    assert parts["summary"]["contexts"] == 1
    assert parts["calibration"]["labels"] == 1
    [expert] = parts["experts"]
    assert (expert["name"], expert["mode"], expert["turns"]) == ("lexical", "shadow", 2)
    assert expert["loss"] == pytest.approx(0.4)
    assert parts["letters"]["reasons"][0]["reason"] == "not_json"
    assert parts["summary"]["closest"][0]["context"] == "acme/user"
    assert live.traffic.series(0)["unsafe"].count(2) == 1
    assert live.traffic.series(0)["unscored"].count(1) == 1
    assert "words" not in str(to_jsonable_python(parts))


def test_what_cannot_be_read_is_counted_and_left_out(live: Live) -> None:
    live.take(NAMES.verdicts, [Record(b"{"), Record(None), Record(b"[]"), Record(verdict())])
    assert live.unreadable == 3
    assert len(live.contexts) == 1


def test_an_expert_that_only_weights_know_of_was_asked_about_nothing(live: Live) -> None:
    live.take(NAMES.weights, [Record(weights())])
    [expert] = json.loads(live.parts(NOW)["experts"])
    assert (expert["mode"], expert["turns"], expert["timeout"], expert["loss"]) == (None, 0, 0.0, pytest.approx(0.4))


def test_a_label_that_a_worker_sends_on_is_counted_once(live: Live) -> None:
    label = encode(Label("t", "c", "unsafe", "ann", datetime.now(UTC)))
    live.take(NAMES.labels, [Record(label), Record(label, headers=[("aegis-tried", b"1"), ("aegis-tries", b"1")])])
    assert sum(live.traffic.series(0)["labels"]) == 1


def test_a_tombstone_takes_a_context_away(live: Live) -> None:
    live.take(NAMES.weights, [Record(weights()), Record(None, b"acme/user")])
    assert live.detail("acme/user") is None
    assert live.standings.told() == {}


def test_a_snapshot_has_all_and_a_tick_what_has_changed(live: Live, clock: Clock) -> None:
    hub = Hub(live)
    live.take(NAMES.weights, [Record(weights())])
    hub.tick()
    kind, _, data = parse(hub.snapshot())
    assert kind == "snapshot"
    assert len(data["series"]["turns"]) == 900
    assert {"broker", "summary", "experts", "lag", "letters", "alarms", "calibration"} <= data.keys()
    clock.now += 1
    hub.tick()
    kind, _, data = parse(hub.missed(f"{hub._boot}-1")[0])  # type: ignore[index]
    assert kind == "tick"
    assert "experts" not in data
    assert len(data["series"]["turns"]) <= 2


def test_a_browser_that_comes_back_gets_what_it_missed(live: Live, clock: Clock) -> None:
    hub = Hub(live)
    for _ in range(5):
        clock.now += 1
        hub.tick()
    boot = hub._boot
    assert [parse(event)[1] for event in hub.missed(f"{boot}-3") or []] == [f"{boot}-4", f"{boot}-5"]
    assert hub.missed(f"{boot}-5") == []
    for strange in ("", "x", f"{boot}-", f"{boot}-99", "other-3", f"{boot}-{'9' * 40}", f"{boot}-²"):
        assert hub.missed(strange) is None


def test_what_was_missed_too_long_ago_is_a_snapshot(live: Live, clock: Clock) -> None:
    hub = Hub(live)
    for _ in range(of_hub.KEPT + 10):
        clock.now += 1
        hub.tick()
    assert hub.missed(f"{hub._boot}-3") is None
    assert len(hub.missed(f"{hub._boot}-20") or []) == of_hub.KEPT + 10 - 20


async def test_events_reach_all_who_listen_and_go_on_where_one_left(live: Live, clock: Clock) -> None:
    hub = Hub(live)
    app = web.Application()
    app.router.add_get("/events", hub.serve)
    async with served(app) as client:
        async with client.get("/events") as answer:
            assert answer.content_type == "text/event-stream"
            first = await answer.content.readuntil(b"\n\n")
            assert first.startswith(b"retry: ")
            kind, at, _ = parse(await answer.content.readuntil(b"\n\n"))
            assert kind == "snapshot"
            clock.now += 1
            hub.tick()
            assert parse(await answer.content.readuntil(b"\n\n"))[0] == "tick"
        hub.tick()
        async with client.get("/events", headers={"Last-Event-ID": at}) as answer:
            await answer.content.readuntil(b"\n\n")
            kinds = [parse(await answer.content.readuntil(b"\n\n"))[0] for _ in range(2)]
            assert kinds == ["tick", "tick"]
            hub.close()
            assert await answer.content.read() == b""


async def test_a_browser_that_does_not_read_is_let_go(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_hub, "MOST_WAITING", 2)
    hub = Hub(live)
    app = web.Application()
    app.router.add_get("/events", hub.serve)
    async with served(app) as client, _slow(str(client._base_url)) as answer:
        await answer.content.readuntil(b"\n\n")
        assert hub.listeners == 1
        for _ in range(5):  # without a moment in which any of them could be sent
            hub.tick()
        assert hub.listeners == 0


def _slow(address: str) -> Any:
    class Slow:
        async def __aenter__(self) -> Any:
            self.session = ClientSession(timeout=ClientTimeout(total=10))
            self.answer = await self.session.get(f"{address.rstrip('/')}/events")
            return self.answer

        async def __aexit__(self, *error: object) -> None:
            self.answer.close()
            await self.session.close()
            await asyncio.sleep(0)

    return Slow()
