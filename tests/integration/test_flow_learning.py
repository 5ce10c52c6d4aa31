"""What people say, late or early, moves the weights; and each tenant's policy reads it in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stream import state
from stream.records import LabelName
from support.fake_worker import CHOSEN
from support.flow import Flow, flowing, label, turn, unique, votes_of

SAFE, NEEDS_CAUTION, UNSAFE = range(3)
LOW, HIGH = 0.1, 0.9
ROUNDS = 30


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """One expert that finds everything harmless, and one that finds nothing so."""
    experts, policies = {CHOSEN: f"{LOW},{HIGH}"}, {"strict": "defensive", "lenient": "permissive"}
    with flowing(broker, tmp_path_factory.mktemp("learning"), environ=experts, tenant_policies=policies) as flow:
        yield flow


async def test_a_label_before_its_turn_is_learned_when_the_turn_comes(flow: Flow) -> None:
    name = unique("early")
    await flow.labels(label(name, "unsafe", "first"), label(name, "safe", "second"))
    keys = {state.early_key("default", name, annotator) for annotator in ("first", "second")}
    await flow.until(flow.names.changelog, lambda records: keys <= {record.key for record in records})
    await flow.turns(turn(name))
    await flow.pending(name, lambda pending: votes_of(pending) == {"first": UNSAFE, "second": SAFE})

    def forgotten(records: list[Any]) -> bool:
        newest = {record.key: record.value for record in records}
        return keys <= newest.keys() and not any(newest[key] for key in keys)

    await flow.until(flow.names.changelog, forgotten)


async def test_a_changed_majority_takes_the_old_round_back_and_adds_the_new_one(flow: Flow) -> None:
    name = unique("majority")
    await flow.turns(turn(name, tenant="majority"))
    await flow.verdicts(name)
    said: tuple[tuple[str, LabelName, float], ...] = (
        ("a", "safe", 0.0),
        ("b", "unsafe", 1.0),  # a tie goes to the more severe class
        ("c", "safe", 0.0),
    )
    for annotator, says, target in said:
        await flow.labels(label(name, says, annotator, tenant="majority"))
        brier = [round((score - target) ** 2, 6) for score in (LOW, HIGH)]
        now = await flow.weights(
            "majority/user",
            lambda w, brier=brier: [round(e.loss, 6) for e in w.experts] == brier,  # type: ignore[misc]
        )
        assert now.rounds == 1


async def test_the_same_labels_teach_a_defensive_tenant_to_hold_and_a_permissive_one_to_let_pass(flow: Flow) -> None:
    names = {tenant: [unique(tenant) for _ in range(ROUNDS)] for tenant in ("strict", "lenient")}
    every = [(tenant, name) for tenant, chosen in names.items() for name in chosen]
    await flow.turns(*(turn(name, tenant=tenant) for tenant, name in every))
    first = await flow.verdicts(*(name for _, name in every))
    assert [verdict.score for verdict in first] == pytest.approx([0.5] * len(every))
    await flow.labels(*(label(name, "needs_caution", tenant=tenant) for tenant, name in every))
    for tenant, policy, decided in (("strict", "defensive", "unsafe"), ("lenient", "permissive", "safe")):
        told = await flow.weights(f"{tenant}/user", lambda w: w.rounds == ROUNDS)
        after = turn(unique(tenant), tenant=tenant)
        await flow.turns(after)
        (verdict,) = await flow.verdicts(after.turn_id)
        assert (told.policy, told.alarm, verdict.policy, verdict.label) == (policy, False, policy, decided)
        assert verdict.rounds == ROUNDS
        assert max(expert.regret for expert in told.experts) <= (told.bound or 0.0)


async def test_roles_of_a_tenant_learn_on_their_own(flow: Flow) -> None:
    user, assistant = unique("user"), unique("assistant")
    await flow.turns(turn(user, tenant="roles"), turn(assistant, tenant="roles", role="assistant"))
    await flow.verdicts(user, assistant)
    await flow.labels(label(assistant, "unsafe", tenant="roles"))
    told = await flow.weights("roles/assistant", lambda w: w.rounds == 1)
    assert told.experts[1].weight > told.experts[0].weight
    again = turn(unique("user"), tenant="roles")
    await flow.turns(again)
    (verdict,) = await flow.verdicts(again.turn_id)
    assert (verdict.context, verdict.rounds) == ("roles/user", 0)
    assert verdict.experts[0].weight == pytest.approx(0.5)


async def test_metadata_goes_through_to_the_verdict_untouched(flow: Flow) -> None:
    sent = turn(unique("metadata"), metadata={"channel": "web", "é": "ü"}, history=())
    (source,) = await flow.turns(sent)
    (verdict,) = await flow.verdicts(sent.turn_id)
    assert verdict.metadata == sent.metadata
    assert (verdict.source.topic, verdict.source.partition, verdict.source.offset) == (
        source.topic,
        source.partition,
        source.offset,
    )
