"""Who is asked for a label, and where the labels count that nobody asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble import PERMISSIVE, Forecaster, Moments, cumulative, merge, zero
from ensemble.moments import SUMS
from experts.base import OK, Advice
from stream import projection, state
from stream.asking import UNASKED, class_of, context_of_class, is_asked, is_unasked, told_of_unasked, unasked_of
from stream.labels import Change, learn, vote
from stream.records import Role, Turn, Verdict, Weights
from stream.settings import Settings
from stream.state import Pending
from stream.verdicts import Arrival, decide, verdict
from stream.view import MergedView
from support.rounds import learned, random_rounds

PANEL = ("a@1", "b@1")
SAMPLED = replace(PERMISSIVE, name="sampled", ask=0.25, ask_unsure=1.0)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ids = st.text(min_size=1, max_size=128)


def arrivals(count: int, tenant: str = "acme") -> list[Arrival]:
    turns = [Turn(f"t{n}", "c", "user", f"text {n}", NOW, tenant) for n in range(count)]
    return [Arrival(turn, 0, n, 0, state.digest(turn.role, turn.text)) for n, turn in enumerate(turns)]


def decided(count: int, scores: tuple[float, float] = (0.4, 0.4)) -> list[Pending]:
    """So many turns, of which the experts say the same."""
    advice = Advice(np.full((count, 2), scores, np.float32), np.full((count, 2), OK, np.uint8))
    forecaster = Forecaster.of(zero(PANEL), SAMPLED, PANEL)
    return list(decide(arrivals(count), range(count), advice, PANEL, forecaster, SAMPLED, 1000))


@given(ids, ids, st.integers(0, 2**62))
def test_a_probability_of_1_always_asks_and_of_0_never(tenant: str, turn_id: str, offset: int) -> None:
    assert is_asked(tenant, turn_id, offset, 1.0)
    assert not is_asked(tenant, turn_id, offset, 0.0)


@given(ids, ids, st.integers(0, 2**62), st.floats(0, 1), st.floats(0, 1))
def test_a_turn_that_is_asked_for_is_asked_for_with_any_higher_probability_too(
    tenant: str, turn_id: str, offset: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert is_asked(tenant, turn_id, offset, low) <= is_asked(tenant, turn_id, offset, high)
    assert is_asked(tenant, turn_id, offset, low) == is_asked(tenant, turn_id, offset, low)


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.95])
def test_as_many_turns_are_asked_for_as_the_probability_says_whatever_they_are_called(probability: float) -> None:
    count = 20_000
    error = 4 * (probability * (1 - probability) / count) ** 0.5
    by_offset = [is_asked("acme", "the same", offset, probability) for offset in range(count)]
    by_name = [is_asked("acme", f"t{number}", 7, probability) for number in range(count)]
    by_tenant = [is_asked(f"tenant {number}", "t1", 7, probability) for number in range(count)]
    for drawn in (by_offset, by_name, by_tenant):
        assert abs(sum(drawn) / count - probability) < error


def test_a_verdict_tells_whether_its_turn_is_asked_for_and_how_likely_that_was() -> None:
    pendings, came = decided(200), arrivals(200)
    told = [verdict(arrival.turn, pending, "turns") for arrival, pending in zip(came, pendings, strict=True)]
    assert {v.ask_probability for v in told} == {0.25}
    assert 20 < sum(v.ask_label for v in told) < 80
    for arrival, pending, before in zip(came, pendings, told, strict=True):
        assert verdict(arrival.turn, state.decode_pending(state.encode(pending)), "turns") == before


def test_experts_that_contradict_each_other_are_always_asked_about() -> None:
    assert {(pending.ask, pending.asked) for pending in decided(50, (0.0, 1.0))} == {(1.0, True)}


def test_a_record_from_before_there_was_sampling_reads_as_asked_for() -> None:
    (pending,) = decided(1, (0.0, 1.0))
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(state.encode(pending))[:-1])
    assert state.decode_pending(older) == pending


def test_a_verdict_from_before_there_was_sampling_reads_as_asked_for() -> None:
    (pending,) = decided(1, (0.0, 1.0))
    told = msgspec.to_builtins(verdict(arrivals(1)[0].turn, pending, "turns"))
    del told["ask_label"], told["ask_probability"]
    assert (msgspec.convert(told, Verdict).ask_label, msgspec.convert(told, Verdict).ask_probability) == (True, 1.0)


@given(ids, st.sampled_from(["user", "assistant", "system"]), ids, st.sampled_from(["user", "assistant", "system"]))
def test_no_tenant_can_be_called_so_that_its_context_is_the_class_of_another(
    tenant: str, role: Role, other: str, second: Role
) -> None:
    for hostile in (other, other + UNASKED, f"{tenant}/{role}{UNASKED}", f"{tenant}/{role}{UNASKED}/x"):
        context, key = state.context_of(hostile, second), unasked_of(state.context_of(tenant, role))
        assert context != key
        assert (is_unasked(context), context_of_class(context)) == (False, context)
        assert (is_unasked(key), context_of_class(key)) == (True, state.context_of(tenant, role))


def labelled(pending: Pending, label: int, annotator: str = "ann", at_ms: int = 1) -> tuple[Pending, Change]:
    cast = vote(pending, annotator, label, at_ms)
    assert cast is not None
    assert cast[1] is not None
    return cast[0], cast[1]


@pytest.mark.parametrize("asked", [True, False])
def test_a_label_weighs_1_over_its_probability_if_it_was_asked_for_and_1_if_not(asked: bool) -> None:
    pending = next(pending for pending in decided(50) if pending.asked == asked)
    _, change = labelled(pending, 2)
    assert class_of(pending) == ("acme/user" if asked else "acme/user~unasked")
    assert learn(zero(()), [change]).counted == (4.0 if asked else 1.0)


@pytest.mark.parametrize("asked", [True, False])
def test_a_corrected_label_leaves_what_it_would_have_left_at_once(asked: bool) -> None:
    pending = next(pending for pending in decided(50) if pending.asked == asked)
    wrong, first = labelled(pending, 0)
    _, second = labelled(wrong, 2, at_ms=2)
    corrected, right = learn(learn(zero(()), [first]), [second]), learn(zero(()), [labelled(pending, 2)[1]])
    for name in SUMS:
        np.testing.assert_allclose(getattr(corrected, name), getattr(right, name), atol=1e-12, err_msg=name)


def view_of(asked: Moments, unasked: Moments | None, context: str = "acme/user") -> MergedView:
    view = MergedView(Settings())
    view.learn(0, projection.part_key(context), projection.encode_part(1, asked))
    if unasked is not None:
        view.learn(0, projection.part_key(unasked_of(context)), projection.encode_part(1, unasked))
    return view


ASKED, UNASKED_ROUNDS = learned(random_rounds(1, 20)), learned(random_rounds(2, 10, sampled=False))


def test_what_is_learned_are_the_labels_asked_for_and_the_rest_at_its_weight() -> None:
    view = view_of(ASKED, UNASKED_ROUNDS)
    assert view.contexts() == ["acme/user"]
    assert view.changed == {"acme/user"}
    none, half, all_ = (
        view.learned("acme/user", replace(SAMPLED, name=str(weight), unasked=weight)) for weight in (0.0, 0.5, 1.0)
    )
    assert (none.rounds, half.rounds, all_.rounds) == (20, 30, 30)
    assert half.counted == pytest.approx(ASKED.counted + 0.5 * UNASKED_ROUNDS.counted)
    assert half.squares == pytest.approx(ASKED.squares + 0.25 * UNASKED_ROUNDS.squares)
    both = merge(ASKED, UNASKED_ROUNDS)
    np.testing.assert_allclose(all_.expert, both.expert, rtol=1e-12)


def test_another_weight_of_labels_nobody_asked_for_is_another_reading_of_the_same_records() -> None:
    view = view_of(ASKED, UNASKED_ROUNDS)
    view.begin("acme/user", {})
    voters = ASKED.experts
    for weight in (0.0, 1.0):
        policy = replace(SAMPLED, name=f"at {weight}", unasked=weight)
        wanted = Forecaster.of(merge(ASKED, UNASKED_ROUNDS) if weight else ASKED, policy, voters).weights()
        np.testing.assert_allclose(view.forecaster("acme/user", policy, voters).weights(), wanted, rtol=1e-9)


TOLD = Weights("acme/user", "sampled", 20, 0, NOW, (), 1.0, None, 0.0, False)


def test_a_context_without_labels_nobody_asked_for_reports_none() -> None:
    assert told_of_unasked(TOLD, ASKED, None, SAMPLED) is TOLD
    assert told_of_unasked(TOLD, ASKED, zero(()), SAMPLED) is TOLD


def test_labels_nobody_asked_for_are_reported_beside_at_their_own_weight() -> None:
    for weight in (1.0, 0.5):
        told = told_of_unasked(TOLD, ASKED, UNASKED_ROUNDS, replace(SAMPLED, unasked_reported=weight))
        ours, theirs = (cumulative(m.total[0], SAMPLED) for m in (ASKED, UNASKED_ROUNDS))
        assert told.unasked_rounds == 10
        assert told.reported_loss == pytest.approx(float(ours + weight * theirs))
        losses = cumulative(ASKED.own, SAMPLED) + weight * cumulative(UNASKED_ROUNDS.own, SAMPLED)
        assert list(told.reported_losses) == list(ASKED.experts)
        np.testing.assert_allclose(list(told.reported_losses.values()), losses, rtol=1e-9)
        assert (told.rounds, told.ensemble_loss) == (TOLD.rounds, TOLD.ensemble_loss)
