"""What is wanted of experts is followed while batches go on; what cannot be followed is said, and what runs goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from experts.base import Expert, Passage
from experts.errors import ManifestError
from experts.executor import Panel
from experts.fakes import ConstantExpert
from stream import expert_swaps
from stream.expert_swaps import ExpertSwaps, Supply
from stream.metrics import Metrics
from stream.roster import Roster
from stream.settings import Settings
from support.kafka import eventually_async

ASKED = [Passage("user", "Hello")]
A, B, C = (ConstantExpert(score, name) for score, name in ((0.1, "a"), (0.2, "b"), (0.3, "c")))


@dataclass
class Bench:
    """Experts a and b run; c and others can be loaded, and those of `held` only once `release` is set."""

    held: frozenset[str] = frozenset()
    release: threading.Event = field(default_factory=threading.Event)
    loads: list[str] = field(default_factory=list)
    changes: int = 0

    def __post_init__(self) -> None:
        self.roster, self.metrics = Roster(Panel([A, B])), Metrics()
        supply = Supply(("a", "b"), self.load)
        self.swaps = ExpertSwaps(Settings.load(), self.roster, supply, self.metrics, self.changed)
        self.offset = -1

    def load(self, name: str) -> Expert:
        self.loads.append(name)
        if name in self.held:
            self.release.wait(30)
        match name:
            case "a" | "b" | "c":
                return {"a": A, "b": B, "c": C}[name]
            case "twin":
                return ConstantExpert(0.4, "a")
            case "bug":
                raise KeyError(name)
        raise ManifestError(f"there is no expert {name!r} in the folder")

    def changed(self) -> None:
        self.changes += 1

    def wish(self, **modes: str) -> None:
        for name, mode in modes.items():
            self.offset += 1
            value = msgspec.json.encode({"mode": mode, "at": "2026-01-01T00:00:00Z"})
            record: Any = SimpleNamespace(offset=self.offset, partition=0, key=name.encode(), value=value)
            self.swaps.hear([record])

    def line(self) -> tuple[tuple[str, ...], frozenset[str]]:
        latest = self.roster.latest
        return latest.panel.ids, latest.shadows

    async def settled(self, *ids: str, shadows: tuple[str, ...] = ()) -> None:
        await eventually_async(lambda: self.line() == (ids, frozenset(shadows)), awaited=f"{ids}, {shadows}")

    def refused(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("aegis_expert_changes_refused_total", {"reason": reason}) or 0.0


@asynccontextmanager
async def arranging(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.create_task(bench.swaps.arrange())
    try:
        yield bench
        assert not task.done()
    finally:
        bench.release.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bench.roster.close()


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as events:
        yield events


async def test_experts_come_go_and_lose_their_vote_as_is_wished() -> None:
    async with arranging(Bench()) as bench:
        bench.wish(c="shadow")
        await bench.settled("a@1", "b@1", "c@1", shadows=("c@1",))
        bench.wish(a="disabled", c="enabled")
        await bench.settled("b@1", "c@1")
        assert bench.roster.advise(ASKED).scores[0].tolist() == pytest.approx([0.2, 0.3])
        bench.wish(a="enabled")
        await bench.settled("a@1", "b@1", "c@1")
        assert bench.loads == ["c", "a"]
        assert bench.changes >= 3


async def test_the_start_waits_until_all_that_was_wished_before_is_followed() -> None:
    bench = Bench(held=frozenset({"c"}))
    bench.wish(c="enabled", a="disabled")
    async with arranging(bench):
        ready = asyncio.create_task(bench.swaps.ready())
        await eventually_async(lambda: bench.loads == ["c"])
        assert not ready.done()
        bench.release.set()
        await asyncio.wait_for(ready, 30)
        assert bench.line() == (("b@1", "c@1"), frozenset())


async def test_an_expert_that_cannot_be_loaded_is_said_once_and_the_rest_is_followed(logs: list[Any]) -> None:
    async with arranging(Bench()) as bench:
        bench.wish(missing="enabled", bug="shadow", twin="enabled", a="shadow")
        await bench.settled("a@1", "b@1", shadows=("a@1",))
        await eventually_async(lambda: bench.refused("not_loadable") == 3.0)
        said = {event["expert"]: event["reason"] for event in logs if event["event"] == "expert_mode_not_followed"}
        assert said.keys() == {"missing", "bug", "twin"}
        assert "there is no expert 'missing'" in said["missing"]
        assert said["bug"] == "loading it raised KeyError"
        assert "named twice" in said["twin"]
        assert bench.line() == (("a@1", "b@1"), frozenset({"a@1"}))


async def test_what_could_not_be_loaded_is_tried_again_with_its_next_record_alone() -> None:
    async with arranging(Bench()) as bench:
        bench.wish(missing="enabled")
        await eventually_async(lambda: bench.refused("not_loadable") == 1.0)
        bench.wish(c="shadow")
        await bench.settled("a@1", "b@1", "c@1", shadows=("c@1",))
        assert bench.loads == ["missing", "c"]
        bench.wish(missing="enabled")
        await eventually_async(lambda: bench.loads == ["missing", "c", "missing"])


async def test_the_last_expert_that_votes_goes_on_when_it_is_disabled_or_shadowed(logs: list[Any]) -> None:
    async with arranging(Bench()) as bench:
        bench.wish(a="disabled")
        await bench.settled("b@1")
        bench.wish(b="shadow")
        await eventually_async(lambda: bench.refused("no_voter") == 1.0)
        assert bench.line() == (("b@1",), frozenset())
        bench.wish(a="enabled")
        await bench.settled("a@1", "b@1", shadows=("b@1",))


async def test_the_panel_stays_when_the_only_expert_that_would_vote_cannot_be_loaded() -> None:
    async with arranging(Bench()) as bench:
        bench.wish(missing="enabled", a="disabled", b="disabled")
        await eventually_async(lambda: bench.refused("not_loadable") >= 1.0)
        assert bench.roster.latest.voters
        bench.wish(c="enabled")
        await bench.settled("c@1")


async def test_an_expert_is_disabled_at_once_while_another_is_being_loaded() -> None:
    async with arranging(Bench(held=frozenset({"c"}))) as bench:
        bench.wish(c="enabled")
        await eventually_async(lambda: bench.loads == ["c"])
        bench.wish(a="disabled")
        await bench.settled("b@1")
        bench.release.set()
        await bench.settled("b@1", "c@1")


async def test_an_expert_that_is_disabled_while_it_is_loaded_is_never_asked() -> None:
    async with arranging(Bench(held=frozenset({"c"}))) as bench:
        bench.wish(c="enabled")
        await eventually_async(lambda: bench.loads == ["c"])
        bench.wish(c="disabled")
        bench.release.set()
        bench.wish(a="shadow")
        await bench.settled("a@1", "b@1", shadows=("a@1",))
        await eventually_async(lambda: "c" not in bench.swaps._loaded)


async def test_an_expert_that_hangs_while_it_is_loaded_is_given_up_and_others_come(
    logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expert_swaps, "LOAD_SECONDS", 0.05)
    async with arranging(Bench(held=frozenset({"c"}))) as bench:
        bench.wish(c="enabled")
        await eventually_async(lambda: bench.refused("not_loadable") == 1.0)
        assert bench.line() == (("a@1", "b@1"), frozenset())
        (said,) = [event["reason"] for event in logs if event["event"] == "expert_mode_not_followed"]
        assert said == "it was not loaded and run once within 0.05 s"
        bench.release.set()
        monkeypatch.setattr(expert_swaps, "LOAD_SECONDS", 30.0)
        bench.wish(c="shadow")
        await bench.settled("a@1", "b@1", "c@1", shadows=("c@1",))


async def test_the_modes_of_those_that_are_asked_are_metrics() -> None:
    async with arranging(Bench()) as bench:
        bench.wish(a="disabled", c="shadow")
        await bench.settled("b@1", "c@1", shadows=("c@1",))
        samples = {
            (sample.labels["expert"], sample.labels["mode"])
            for metric in bench.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == "aegis_expert_mode"
        }
        assert samples == {("b@1", "enabled"), ("c@1", "shadow")}
