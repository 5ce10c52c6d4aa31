"""Offline verdicts are those of a worker that has learned nothing: the same functions on the same advice."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from msgspec.structs import replace

from ensemble import POLICIES, Forecaster, zero
from experts.base import Passage
from experts.executor import Panel
from experts.fakes import InstantExpert, NaNExpert
from stream import state
from stream.offline import OfflineScorer
from stream.records import Role, Turn, Utterance, Verdict
from stream.settings import Settings
from stream.verdicts import Arrival, decide, verdict

NOW = 1_700_000_000_000
EXPERTS = tuple(InstantExpert(f"expert{salt}", salt=salt) for salt in range(3))
SENT = datetime(2026, 1, 1, tzinfo=UTC)


def turn(number: int, tenant: str = "default", role: Role = "user") -> Turn:
    return Turn(f"t{number}", f"c{number % 3}", role, f"text {number}", SENT, tenant, metadata={"n": str(number)})


def worker_verdict(panel: Panel, policy: str, offset: int, turn: Turn) -> Verdict:
    """One turn by itself, step by step as the score agent takes them."""
    advice = panel.advise([Passage(turn.role, turn.text, tuple((u.role, u.text) for u in turn.history))])
    reading = POLICIES[policy]
    forecaster = Forecaster.of(zero(panel.ids), reading, panel.ids)
    arrival = Arrival(turn, 0, offset, NOW, state.digest(turn.role, turn.text))
    (pending,) = decide([arrival], [0], advice, panel.ids, forecaster, reading, NOW)
    return verdict(turn, pending, "turns.jsonl")


@pytest.fixture
def panel() -> Panel:
    return Panel(EXPERTS)


def test_verdicts_are_the_workers_in_the_order_of_the_turns_whatever_contexts_they_mix(panel: Panel) -> None:
    settings = Settings.load(tenant_policies={"careful": "defensive"})
    turns = [turn(n, ("default", "careful")[n % 2], ("user", "assistant")[n // 2 % 2]) for n in range(40)]
    said = OfflineScorer(settings, panel, "turns.jsonl", lambda: NOW).score(list(enumerate(turns)))
    policies = {"default": "permissive", "careful": "defensive"}
    assert said == [worker_verdict(panel, policies[turn.tenant], offset, turn) for offset, turn in enumerate(turns)]
    assert {verdict.policy for verdict in said} == {"permissive", "defensive"}


def test_all_experts_weigh_the_same_and_no_round_has_been_learned(panel: Panel) -> None:
    (said,) = OfflineScorer(Settings.load(), panel, "turns.jsonl").score([(7, turn(1))])
    assert [round(opinion.weight, 6) for opinion in said.experts] == [0.333333] * 3
    assert said.score == pytest.approx(np.mean([opinion.score for opinion in said.experts]))
    assert (said.rounds, said.source.topic, said.source.offset) == (0, "turns.jsonl", 7)


def test_the_history_of_a_turn_reaches_the_experts() -> None:
    heard: list[Passage] = []

    class Listener(InstantExpert):
        def advise(self, passages):  # type: ignore[no-untyped-def]
            heard.extend(passages)
            return super().advise(passages)

    replied = replace(turn(1, role="assistant"), history=(Utterance("user", "before"),))
    OfflineScorer(Settings.load(), Panel([Listener("listener")]), "-").score([(0, replied)])
    assert heard == [Passage("assistant", "text 1", (("user", "before"),))]


def test_with_no_expert_awake_the_policy_decides_and_the_verdict_says_so() -> None:
    (said,) = OfflineScorer(Settings.load(), Panel([NaNExpert()]), "-").score([(0, turn(1))])
    assert (said.label, said.score, said.experts[0].status) == ("unsafe", None, "abstained")
