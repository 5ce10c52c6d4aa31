"""What people say, late or early, moves the weights; each tenant's policy reads it in its own way, and asks for as much
as it wants; and a new tenant begins as the others weigh."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stream import projection, state
from stream.records import LabelName, Verdict
from support.fake_worker import CHOSEN
from support.flow import Flow, flowing, label, turn, unique, votes_of
from support.kafka import eventually_async
from support.oracle import read_logs

SAFE, NEEDS_CAUTION, UNSAFE = range(3)
LOW, HIGH = 0.1, 0.9
ROUNDS = 30
ASK = 0.5
SAMPLED = {"ask": ASK, "ask_unsure": ASK}


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """One expert that finds everything harmless, and one that finds nothing so."""
    experts, defined = {CHOSEN: f"{LOW},{HIGH}"}, {"sampled": SAMPLED}
    named = {"strict": "defensive", "lenient": "permissive", "frugal": "sampled"}
    folder = tmp_path_factory.mktemp("learning")
    with flowing(broker, folder, environ=experts, policies=defined, tenant_policies=named) as flow:
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
    assert {verdict.rounds for verdict in first} == {0}
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
    user, assistant = unique("user"), [unique("assistant") for _ in range(ROUNDS)]
    said = [turn(name, tenant="roles", role="assistant") for name in assistant]
    await flow.turns(turn(user, tenant="roles"), *said)
    await flow.verdicts(user, *assistant)
    await flow.labels(*(label(name, "unsafe", tenant="roles") for name in assistant))
    told = await flow.weights("roles/assistant", lambda w: w.rounds == ROUNDS)
    assert told.experts[1].weight > told.experts[0].weight
    again = turn(unique("user"), tenant="roles")
    await flow.turns(again)
    (verdict,) = await flow.verdicts(again.turn_id)
    assert (verdict.context, verdict.rounds) == ("roles/user", 0)


async def test_only_labels_that_were_asked_for_are_learned_from_by_a_policy_that_samples(flow: Flow) -> None:
    names = [unique("sampled") for _ in range(ROUNDS)]
    await flow.turns(*(turn(name, tenant="frugal") for name in names))
    verdicts = await flow.verdicts(*names)
    asked = sum(verdict.ask_label for verdict in verdicts)
    assert {verdict.ask_probability for verdict in verdicts} == {ASK}
    assert 0 < asked < ROUNDS
    await flow.labels(*(label(name, "safe", tenant="frugal") for name in names))
    told = await flow.weights("frugal/user", lambda w: w.rounds + w.unasked_rounds == ROUNDS)
    assert (told.rounds, told.unasked_rounds) == (asked, ROUNDS - asked)
    brier = LOW**2
    assert told.experts[0].loss == pytest.approx(asked / ASK * brier)
    assert next(iter(told.reported_losses.values())) == pytest.approx((asked / ASK + ROUNDS - asked) * brier)
    assert not told.alarm


async def test_a_new_tenant_begins_as_the_others_weigh_and_keeps_that_prior(flow: Flow) -> None:
    names = [unique("teaching") for _ in range(ROUNDS)]
    await flow.turns(*(turn(name, tenant="teaching") for name in names))
    await flow.verdicts(*names)
    await flow.labels(*(label(name, "safe", tenant="teaching") for name in names))
    await flow.weights("teaching/user", lambda w: w.rounds == ROUNDS)

    async def leaning() -> Verdict | None:
        """The first verdict of yet another tenant."""
        name = unique("new")
        await flow.turns(turn(name, tenant=name))
        (verdict,) = await flow.verdicts(name)
        return verdict if verdict.experts[0].weight > 0.9 else None

    first: Verdict = await eventually_async(leaning, awaited="a tenant that begins with the better expert")
    assert first.rounds == 0
    await flow.labels(label(first.turn_id, "safe", tenant=first.tenant))
    told = await flow.weights(first.context, lambda w: w.rounds == 1)
    assert told.experts[0].weight > 0.9
    after = unique("after")
    await flow.turns(turn(after, tenant=first.tenant))
    (verdict,) = await flow.verdicts(after)
    assert verdict.rounds == 1
    assert verdict.experts[0].weight == pytest.approx(told.experts[0].weight)
    logs = await read_logs(flow.settings)
    (prior,) = (record for record in logs.moments if record.key == projection.prior_key(first.context))
    assert projection.decode_prior(prior.value)["expert0@1"] > 0.9


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
