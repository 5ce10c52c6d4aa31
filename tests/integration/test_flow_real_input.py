"""The flow on real conversations, with what people really said of them. No text is ever printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from experts.registry import ZOO, load_expert, names
from stream.records import Label, Turn, Verdict
from support.conversations import Unprinted, labels_of, rows_of, turns_of
from support.flow import Flow, flowing, record_of
from support.kafka import end_offsets, eventually_async, produce
from support.oracle import Findings, Logs
from support.worker_process import REAL

pytestmark = [pytest.mark.data, pytest.mark.slow]

CONVERSATIONS, PROMPTS = 60, 300
"""Of the unlabelled and of the labelled set: about 600 turns, which the shipped experts read in under a minute."""
DEADLINE = 100.0


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowing(broker, tmp_path_factory.mktemp("real"), tenant_policies={"strict": "defensive"}) as flow:
        yield flow


@pytest.fixture(scope="module")
def shipped(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """The experts of the repository, on the CPU."""
    folder = tmp_path_factory.mktemp("shipped")
    with flowing(broker, folder, REAL, device="cpu", expert_timeout=60.0) as flow:
        yield flow


async def scored(flow: Flow, turns: Unprinted[Turn]) -> int:
    """Publishes the turns and returns when each has a verdict; returns how many verdicts there are by then."""
    before = await count(flow)
    await produce(flow.settings.broker, flow.names.turns, map(record_of, turns))

    async def complete() -> int:
        flow.worker.assert_running()
        found = await count(flow) - before
        return found if found >= len(turns) else 0

    found: int = await eventually_async(complete, DEADLINE, f"{len(turns)} verdicts")
    return found


async def count(flow: Flow) -> int:
    return sum((await end_offsets(flow.settings.broker, flow.names.verdicts)).values())


async def learned(flow: Flow, turns: Unprinted[Turn], labels: Unprinted[Label]) -> tuple[Logs, Findings]:
    """Publishes the labels and returns when the oracle finds everything as it must be, with one vote a label."""
    await produce(flow.settings.broker, flow.names.labels, map(record_of, labels))
    logs, found = await flow.sound((turn.turn_id for turn in turns), DEADLINE)
    assert found.votes == len({label.turn_id for label in labels})
    assert found.letters == 0
    return logs, found


def verdicts(logs: Logs) -> list[Verdict]:
    return [msgspec.json.decode(record.value, type=Verdict) for record in logs.verdicts]


async def test_people_who_label_real_turns_late_are_each_heard_once(flow: Flow, datasets: Path) -> None:
    rows = rows_of(datasets, "aegis2_validation")
    turns, labels = turns_of(rows), labels_of(rows)
    assert await scored(flow, turns) == len(turns) == 2150
    _, found = await learned(flow, turns, labels)
    assert (found.turns, found.verdicts, found.votes) == (2150, 2150, 1671)
    for role, rounds in (("user", 1192), ("assistant", 479)):
        told = await flow.weights(f"default/{role}", lambda weights, rounds=rounds: weights.rounds == rounds)  # type: ignore[misc]
        assert not told.alarm


async def test_every_turn_of_real_conversations_gets_exactly_one_verdict(flow: Flow, datasets: Path) -> None:
    turns = turns_of(rows_of(datasets, "hh_rlhf_harmless_test"))
    assert await scored(flow, turns) == len(turns) == 22_325
    logs, _ = await flow.sound((turn.turn_id for turn in turns), DEADLINE)
    ours = [verdict.turn_id for verdict in verdicts(logs) if verdict.conversation_id.startswith("hh-")]
    assert len(ours) == len(set(ours)) == len(turns)


async def test_the_shipped_experts_read_real_turns_and_answer_differently(shipped: Flow, datasets: Path) -> None:
    labelled = rows_of(datasets, "aegis2_validation", PROMPTS)
    talk = rows_of(datasets, "hh_rlhf_harmless_test", CONVERSATIONS)
    turns = Unprinted([*turns_of(labelled), *turns_of(talk)])
    assert await scored(shipped, turns) == len(turns)
    logs, found = await learned(shipped, turns, labels_of(labelled))
    assert (found.turns, found.verdicts) == (len(turns), len(turns))
    given = verdicts(logs)
    opinions = [verdict.experts for verdict in given]
    assert {tuple(opinion.name for opinion in said) for said in opinions} == {names(ZOO)}
    statuses = {(verdict.role, opinion.name, opinion.status) for verdict in given for opinion in verdict.experts}
    reads = {name: load_expert(ZOO / name, "cpu").wakes for name in names(ZOO)}
    assert statuses == {
        (role, name, "ok" if reads[name](role) else "abstained") for name in reads for role in ("user", "assistant")
    }
    assert agreement(opinions) < 0.9


def agreement(opinions: list[Any]) -> float:
    """The share of turns on which the experts are within 0.1 of each other."""
    scores = np.array([[opinion.score for opinion in said] for said in opinions], np.float64)
    return float((np.nanmax(scores, axis=1) - np.nanmin(scores, axis=1) < 0.1).mean())
