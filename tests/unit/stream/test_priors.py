"""Cold start: what a context without labels is forecast from, and that it is fixed once the context learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import (
    DEFENSIVE,
    PERMISSIVE,
    Forecaster,
    Moments,
    Policy,
    Rounds,
    blend,
    distance,
    encode,
    fold,
    merge,
    scaled,
    zero,
)
from ensemble.rounds import Floats
from stream import projection
from stream.asking import unasked_of
from stream.parts import Packed
from stream.priors import TOGETHER, Parents, aligned, first_prior
from stream.settings import Settings
from stream.view import MergedView
from support.rounds import NOON, PANEL, random_rounds
from support.rounds import learned as learned_of

BOTH = ("bad@1", "good@1")
SAMPLED = replace(PERMISSIVE, name="sampled", ask=0.5, unasked=0.5)
seeds = st.integers(0, 2**32 - 1)


def favouring(expert: str, rounds: int = 40, used: float = 0.0) -> Moments:
    """Rounds in which one of the two was always right, and the other always wrong."""
    label = np.arange(rounds) % 2 * 2
    right, wrong = np.where(label == 2, 0.9, 0.1), np.where(label == 2, 0.1, 0.9)
    scores = np.column_stack((wrong, right) if expert == "good@1" else (right, wrong))
    half = np.full((rounds, 4), 0.5)
    told = Rounds.of(scores, np.ones((rounds, 2)), half, half[:, 0], label, NOON + np.arange(rounds), used=used)
    return fold(zero(BOTH), told)


def counted(parts: dict[str, Moments]) -> Parents:
    parents = Parents()
    for key, moments in parts.items():
        parents.take(key, 0, Packed(encode(moments)))
    while parents.count():
        pass
    return parents


def hierarchy(role: Moments, everybody: Moments, policy: Policy, voters: tuple[str, ...]) -> Floats:
    """The prior by its definition."""
    first = Forecaster.of(everybody, policy, voters).weights()
    return blend(Forecaster.of(role, policy, voters, blend(first)).weights())


def prior_in(forecaster: Forecaster) -> Floats:
    """What a forecaster that has learned nothing started from."""
    weights = np.exp(forecaster.log_w[0])
    shares: Floats = weights / weights.sum()
    return shares


def test_the_prior_is_that_of_the_role_over_all_tenants_from_that_of_all_mixed_with_a_tenth_of_uniform() -> None:
    a, b, c = (learned_of(random_rounds(seed, 30)) for seed in (1, 2, 3))
    parents = counted({"x/user": a, "y/user": b, "y/assistant": c})
    for policy in (PERMISSIVE, DEFENSIVE):
        for role, own in (("user", merge(a, b)), ("assistant", c), ("system", zero(()))):
            made = parents.forecaster(f"new/{role}", policy, PANEL)
            wanted = hierarchy(own, merge(merge(a, b), c), policy, PANEL)
            np.testing.assert_allclose(prior_in(made), wanted, rtol=1e-9)
            assert (made.rounds, made.used) == (0, 0.0)


def test_parents_read_labels_nobody_asked_for_as_the_contexts_own_policy_does() -> None:
    asked, unasked = learned_of(random_rounds(1, 30)), learned_of(random_rounds(2, 30, sampled=False))
    parents = counted({"x/user": asked, unasked_of("x/user"): unasked})
    both = merge(asked, scaled(unasked, 0.5))
    made = parents.forecaster("new/user", SAMPLED, PANEL)
    np.testing.assert_allclose(prior_in(made), hierarchy(both, both, SAMPLED, PANEL), rtol=1e-9)
    made = parents.forecaster("new/user", PERMISSIVE, PANEL)
    np.testing.assert_allclose(prior_in(made), hierarchy(asked, asked, PERMISSIVE, PANEL), rtol=1e-9)


def test_where_nobody_has_labelled_anything_all_experts_weigh_the_same_to_the_last_bit() -> None:
    made, plain = (
        Parents().forecaster("new/user", PERMISSIVE, PANEL),
        Forecaster.of(zero(PANEL), PERMISSIVE, PANEL),
    )
    np.testing.assert_array_equal(made.log_w, plain.log_w)
    assert first_prior(Parents(), "new/user", favouring("good@1"), PERMISSIVE, BOTH) == {}


def test_the_forecasters_of_contexts_without_labels_are_made_once_a_role_and_again_when_something_was_learned() -> None:
    parents = counted({"x/user": favouring("good@1")})
    made = parents.forecaster("new/user", PERMISSIVE, BOTH)
    assert parents.forecaster("other/user", PERMISSIVE, BOTH) is made
    assert parents.forecaster("new/assistant", PERMISSIVE, BOTH) is not made
    assert parents.forecaster("new/user", PERMISSIVE, BOTH[:1]) is not made
    parents.take("y/user", 0, Packed(encode(favouring("bad@1", rounds=400))))
    assert parents.forecaster("new/user", PERMISSIVE, BOTH) is made, "what came waits until it is counted"
    parents.count()
    after = parents.forecaster("new/user", PERMISSIVE, BOTH)
    assert prior_in(after)[0] > 0.5 > prior_in(made)[0]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0, 1]), st.booleans(), seeds), max_size=12))
@settings(max_examples=30)
def test_the_parents_sums_are_those_of_the_newest_parts_however_often_they_came(
    came: list[tuple[str, int, bool, int]],
) -> None:
    parents, newest = Parents(), dict[tuple[str, int], Moments]()
    for tenant, partition, count_now, seed in came:
        moments = learned_of(random_rounds(seed, 5))
        parents.take(f"{tenant}/user", partition, Packed(encode(moments)))
        newest[f"{tenant}/user", partition] = moments
        if count_now:
            parents.count()
    parents.count()
    sums, wanted = parents._sums.get("user", zero(PANEL)), zero(PANEL)
    for moments in newest.values():
        wanted = merge(wanted, moments)
    assert distance(sums, wanted) < 1e-9
    assert sums.rounds == wanted.rounds


def test_parts_are_counted_some_at_a_time() -> None:
    parents, rounds = Parents(), Packed(encode(favouring("good@1", rounds=2)))
    for number in range(2 * TOGETHER + 1):
        parents.take(f"{number}/user", 0, rounds)
    assert [parents.count(), parents.count(), parents.count()] == [True, True, False]
    assert parents._sums["user"].rounds == 2 * (2 * TOGETHER + 1)


# -- what is recorded


def test_a_contexts_own_first_labels_are_no_part_of_its_prior() -> None:
    own, others = favouring("bad@1"), favouring("good@1", rounds=30)
    parents = counted({"new/user": own, "x/user": others})
    found = first_prior(parents, "new/user", own, PERMISSIVE, BOTH)
    assert found is not None
    np.testing.assert_allclose(list(found.values()), hierarchy(others, others, PERMISSIVE, BOTH), rtol=1e-6)
    assert first_prior(counted({"new/user": own}), "new/user", own, PERMISSIVE, BOTH) == {}


def test_nothing_is_recorded_of_a_context_without_labelled_rounds() -> None:
    assert first_prior(counted({"x/user": favouring("good@1")}), "new/user", zero(BOTH), PERMISSIVE, BOTH) is None


def test_a_context_that_learned_before_its_prior_was_recorded_is_taken_to_have_had_a_uniform_one() -> None:
    parents = counted({"x/user": favouring("good@1")})
    older = merge(favouring("bad@1"), favouring("bad@1", used=3.0))
    assert first_prior(parents, "old/user", older, PERMISSIVE, BOTH) == {}
    assert first_prior(parents, "new/user", favouring("bad@1"), PERMISSIVE, BOTH) != {}


@given(st.dictionaries(st.sampled_from(PANEL), st.floats(0.01, 1.0), max_size=5), st.permutations(PANEL))
def test_a_recorded_prior_fits_any_panel_and_two_experts_keep_their_ratio_in_all_of_them(
    prior: dict[str, float], names: list[str]
) -> None:
    whole = aligned(prior, PANEL)
    if not prior:
        assert whole is None
        return
    assert whole is not None
    shares = dict(zip(PANEL, whole.tolist(), strict=True))
    for count in range(1, len(names) + 1):
        panel = tuple(names[:count])
        part = aligned(prior, panel)
        assert part is not None
        assert part.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(part / part[0], [shares[name] / shares[panel[0]] for name in panel], rtol=1e-9)


def test_an_expert_that_a_record_does_not_name_has_the_uniform_share() -> None:
    found = aligned({"a@1": 0.75, "b@1": 0.25}, ("a@1", "b@1", "new@1"))
    assert found is not None
    np.testing.assert_allclose(found, np.array([0.75, 0.25, 0.5]) / 1.5)


PRIORS = st.dictionaries(st.text(min_size=1), st.floats(0.0, 1.0), max_size=5)


@given(PRIORS.filter(lambda prior: not prior or sum(prior.values()) > 0.0))
def test_a_prior_is_read_as_it_was_written(prior: dict[str, float]) -> None:
    assert projection.decode_prior(projection.encode_prior(prior)) == prior


# -- the view


def part(view: MergedView, context: str, offset: int, moments: Moments) -> None:
    view.learn(0, projection.part_key(context), projection.encode_part(offset, moments))


def test_a_new_tenants_first_forecasts_lean_to_the_expert_that_the_labels_of_others_favour() -> None:
    view = MergedView(Settings())
    assert view.forecaster("new/user", PERMISSIVE, BOTH).weights().tolist() == [0.5, 0.5]
    for offset, tenant in enumerate(("x", "y", "z")):
        part(view, f"{tenant}/user", offset, favouring("good@1"))
    view.parents.count()
    made = view.forecaster("new/user", PERMISSIVE, BOTH)
    said = made.forecast([[0.2, 0.8]], np.ones((1, 2), np.bool_))
    assert made.weights()[1] > 0.9
    assert said.published[0] > 0.7
    assert made.used == 0.0


def test_a_context_is_forecast_from_its_own_moments_once_its_prior_was_read() -> None:
    view = MergedView(Settings())
    own = favouring("good@1", rounds=8)
    part(view, "x/user", 1, own)
    assert view.forecaster("x/user", PERMISSIVE, BOTH).used == 0.0
    view.changed.clear()
    prior = {"bad@1": 0.9, "good@1": 0.1}
    for _ in range(2):
        view.learn(0, projection.prior_key("x/user"), projection.encode_prior(prior))
    assert view.changed == {"x/user"}
    made = view.forecaster("x/user", PERMISSIVE, BOTH)
    assert made.used == 8.0
    np.testing.assert_allclose(made.log_w, Forecaster.of(own, PERMISSIVE, BOTH, np.array([0.9, 0.1])).log_w)


events = st.lists(
    st.tuples(st.sampled_from(["part", "unasked", "prior", "count", "forecast"]), st.sampled_from("abc"), seeds),
    max_size=40,
)


@given(events)
@settings(max_examples=60)
def test_a_forecast_that_used_labels_used_the_recorded_prior_in_whatever_order_records_came(
    came: list[tuple[str, str, int]],
) -> None:
    view, recorded, newest = MergedView(Settings()), dict[str, dict[str, float]](), dict[str, Moments]()
    for offset, (what, tenant, seed) in enumerate(came):
        context, rng = f"{tenant}/user", np.random.default_rng(seed)
        match what:
            case "part" | "unasked":
                key = context if what == "part" else unasked_of(context)
                newest[key] = learned_of(random_rounds(seed, 6))
                part(view, key, offset, newest[key])
            case "prior":
                recorded.setdefault(context, dict(zip(PANEL, rng.uniform(0.01, 1, 5).tolist(), strict=True)))
                view.learn(0, projection.prior_key(context), projection.encode_prior(recorded[context]))
            case "count":
                view.parents.count()
            case "forecast":
                voters = PANEL[: 1 + seed % 5]
                made = view.forecaster(context, SAMPLED, voters)
                own = merge(newest.get(context, zero(())), scaled(newest.get(unasked_of(context), zero(())), 0.5))
                assert made.used == pytest.approx(own.counted if context in recorded else 0.0)
                if made.used > 0.0:
                    wanted = Forecaster.of(own, SAMPLED, voters, aligned(recorded[context], voters))
                    np.testing.assert_allclose(made.log_w, wanted.log_w, rtol=1e-9, atol=1e-9)
