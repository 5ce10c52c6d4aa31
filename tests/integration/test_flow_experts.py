"""Experts that do not answer sleep; the others decide, and with none awake the policy does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream import state
from support.fake_worker import CHOSEN
from support.flow import Flow, flowing, label, turn, unique

TURNS = 20


@pytest.fixture(scope="module")
def half_asleep(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    experts = {CHOSEN: "0.2,0.6,slow,crashing"}
    with flowing(broker, tmp_path_factory.mktemp("half"), environ=experts, expert_timeout=0.3, partitions=2) as flow:
        yield flow


@pytest.fixture(scope="module")
def asleep(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    experts = {CHOSEN: "nan,crashing"}
    with flowing(broker, tmp_path_factory.mktemp("asleep"), environ=experts, partitions=2) as flow:
        yield flow


async def test_a_slow_and_a_crashing_expert_sleep_and_the_others_decide(half_asleep: Flow) -> None:
    names = [unique("half") for _ in range(TURNS)]
    await half_asleep.turns(*map(turn, names))
    for verdict in await half_asleep.verdicts(*names):
        assert [(opinion.status, opinion.score) for opinion in verdict.experts] == [
            ("ok", pytest.approx(0.2)),
            ("ok", pytest.approx(0.6)),
            ("timeout", None),
            ("error", None),
        ]
        assert [opinion.weight for opinion in verdict.experts] == pytest.approx([0.5, 0.5, 0.0, 0.0])
        assert verdict.score == pytest.approx(0.4)
        assert verdict.label == "needs_caution"


async def test_only_experts_that_were_awake_are_blamed_by_a_label(half_asleep: Flow) -> None:
    name = unique("blame")
    await half_asleep.turns(turn(name, tenant="blame"))
    await half_asleep.verdicts(name)
    await half_asleep.labels(label(name, "unsafe", tenant="blame"))
    told = await half_asleep.weights("blame/user", lambda weights: weights.rounds == 1)
    assert [round(expert.loss, 6) for expert in told.experts] == [0.64, 0.16, 0.0, 0.0]


async def test_with_every_expert_asleep_the_verdict_fails_closed_and_says_why(asleep: Flow) -> None:
    names = [unique("closed") for _ in range(TURNS)]
    await asleep.turns(*map(turn, names))
    for verdict in await asleep.verdicts(*names):
        assert (verdict.label, verdict.score) == ("unsafe", None)
        assert [opinion.status for opinion in verdict.experts] == ["abstained", "error"]


async def test_a_label_of_a_turn_on_which_nobody_advised_is_kept_and_teaches_nothing(asleep: Flow) -> None:
    name = unique("nobody")
    await asleep.turns(turn(name))
    await asleep.verdicts(name)
    await asleep.labels(label(name, "safe"))
    await asleep.pending(name, lambda pending: bool(pending.votes))
    logs, found = await asleep.sound()
    assert (found.votes, found.distance) == (1, 0.0)
    assert any(record.key == state.moments_key("default/user") for record in logs.changelog)
