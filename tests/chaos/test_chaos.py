"""What must hold whatever happens to the workers. Each test is one run from a seed; AEGIS_TEST_SEED gives another.

When one fails, its message has the seed, the problems and the folder with every worker's log and state."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from chaos.nemesis import Outcome, run_plan
from chaos.plan import Action, Deed, Moment, Plan
from chaos.scenarios import SESSION, killed, paused, scaled
from chaos.stage import Stage, staged
from stream import topics_admin
from stream.settings import Settings
from support.broker import Namespace

SEED = int(os.environ.get("AEGIS_TEST_SEED", "1"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


async def _survive(
    plan: Plan, settings: Settings, folder: Path, turns: int, labels: int, stage: Stage | None = None
) -> Outcome:
    outcome = await run_plan(plan, settings, folder / "chaos", turns, labels, stage)
    assert not [*outcome.problems, *outcome.broken], f"{outcome}\n  evidence: {folder / 'chaos'}"
    assert (outcome.findings.turns, outcome.turns, outcome.labels) == (turns, turns, labels)
    done = Counter(fault.action.deed for fault in outcome.faults)
    assert done == Counter(action.deed for action in plan.actions)
    assert all(fault.sent < outcome.messages for fault in outcome.faults), "a fault met no traffic"
    return outcome


async def test_workers_killed_at_random_moments_lose_no_turn_decide_none_twice_and_learn_every_label_once(
    topics: Settings, tmp_path: Path
) -> None:
    outcome = await _survive(killed(SEED), topics, tmp_path, turns=5000, labels=2000)
    assert sum(ending.code == -9 for ending in outcome.endings) == outcome.plan.count(Deed.KILL) == 20


async def test_workers_stopped_past_their_session_and_woken_find_their_partitions_taken_and_change_nothing(
    topics: Settings, tmp_path: Path
) -> None:
    memory = topics.model_copy(update={"store": "memory"})
    outcome = await _survive(paused(SEED), memory, tmp_path, turns=3000, labels=1200)
    assert outcome.plan.count(Deed.PAUSE) == 5


async def test_workers_that_join_and_leave_while_the_flow_runs_share_it_and_end_cleanly(
    topics: Settings, tmp_path: Path
) -> None:
    outcome = await _survive(scaled(SEED), topics, tmp_path, turns=3000, labels=1200)
    left = [ending for ending in outcome.endings if ending.code == 0]
    assert len(left) >= outcome.plan.count(Deed.LEAVE) + 1


async def test_a_broker_that_dies_and_topics_that_grow_lose_nothing_among_messages_that_cannot_be_used(
    tmp_path: Path,
) -> None:
    actions = (
        Action(Deed.BROKER_KILL, 0, Moment.BURST, 0.02, lasting=0.5),
        Action(Deed.KILL, 1, Moment.PREVIOUS, 0.2),
        Action(Deed.GROW, 0, Moment.BURST, 0.05, amount=6),
        Action(Deed.KILL, 0, Moment.BURST, 0.05),
    )
    plan = Plan("mixed", SEED, 2, 2, SESSION, actions, nodes=1, poison=0.5)
    with staged(tmp_path / "brokers", plan.nodes, plan.workers) as stage:
        settings = Namespace.new().settings(stage.broker, partitions=4, store="memory")
        await topics_admin.create(settings)
        outcome = await _survive(plan, settings, tmp_path, turns=1500, labels=600, stage=stage)
    assert outcome.findings.letters > 500
    assert len(set(outcome.findings.reasons.values())) > 8
