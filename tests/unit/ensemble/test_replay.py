"""The oracle and the incremental sums come to the same, by two ways that share no line."""

from __future__ import annotations

from math import inf

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import Moments, Replay, Rounds, Vote, cast, distance, fold, majority, merge, zero
from support.rounds import NOON, PANEL, learned, random_rounds


def one(rounds: Rounds, n: int, label: int, sign: int) -> Rounds:
    """Round n alone, under a label, added or taken back."""
    part = rounds.select(slice(n, n + 1))
    return Rounds(**{**vars(part), "label": np.array([label], np.uint8), "sign": np.array([sign], np.int8)})


def tell(replay: Replay, rounds: Rounds, n: int, context: str = "acme/user") -> None:
    replay.scored(
        n,
        context,
        PANEL,
        rounds.scores[n].tolist(),
        rounds.awake[n].tolist(),
        rounds.forecasts[n].tolist(),
        float(rounds.published[n]),
        float(rounds.scored_at[n]),
        float(rounds.used[n]),
        float(rounds.q[n]),
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.integers(0, 80))
@settings(max_examples=40)
def test_a_worker_that_folds_and_corrects_vote_by_vote_ends_where_the_oracle_does(
    seed: int, turns: int, ballots: int
) -> None:
    rng = np.random.default_rng(seed)
    rounds = random_rounds(seed, turns)
    replay, partitions = Replay(), [zero(PANEL), zero(PANEL)]
    votes: list[dict[str, Vote]] = [{} for _ in range(turns)]
    told = [
        (int(rng.integers(turns)), f"annotator-{rng.integers(3)}", int(rng.integers(3)), int(rng.integers(9)))
        for _ in range(ballots)
    ]
    for n, annotator, label, at_ms in told:
        before = majority(votes[n])
        votes[n] = cast(votes[n], annotator, label, at_ms) or votes[n]
        after = majority(votes[n])
        changes = [] if after == before else [(before, -1), (after, 1)]
        for given_label, sign in changes:
            if given_label is not None:
                partitions[n % 2] = fold(partitions[n % 2], one(rounds, n, given_label, sign))
    for ballot in rng.permutation(ballots):
        replay.labelled(*told[ballot])
    for n in rng.permutation(turns):
        tell(replay, rounds, int(n))
    moments, oracle = merge(*partitions), replay.moments()["acme/user"]
    assert distance(moments, oracle) < 1e-10
    assert moments.rounds == oracle.rounds
    assert [majority(vote) for vote in votes] == [replay.label_of(n) for n in range(turns)]


def test_labels_may_come_before_their_turn_and_twice() -> None:
    rounds = random_rounds(1, 1, asleep=0.0)
    early, late = Replay(), Replay()
    early.labelled(0, "ann", 2, 5)
    tell(early, rounds, 0)
    tell(late, rounds, 0)
    late.labelled(0, "ann", 0, 4)
    late.labelled(0, "ann", 2, 5)
    late.labelled(0, "ann", 2, 5)
    assert distance(early.moments()["acme/user"], late.moments()["acme/user"]) == 0.0
    assert early.moments()["acme/user"].rounds == 1


def test_of_a_turn_scored_twice_the_first_decision_stands() -> None:
    first, second = random_rounds(1, 1, asleep=0.0), random_rounds(2, 1, asleep=0.0)
    replay = Replay()
    tell(replay, first, 0)
    tell(replay, second, 0)
    replay.labelled(0, "ann", int(first.label[0]), 1)
    assert distance(learned(first), replay.moments()["acme/user"]) < 1e-12


def test_each_context_learns_on_its_own_and_one_without_labels_has_no_rounds() -> None:
    rounds = random_rounds(3, 4, asleep=0.0)
    replay = Replay()
    for n, context in enumerate(["a/user", "a/user", "b/user", "c/user"]):
        tell(replay, rounds, n, context)
        if n != 3:
            replay.labelled(n, "ann", 1, 1)
    assert {context: moments.rounds for context, moments in replay.moments().items()} == {
        "a/user": 2,
        "b/user": 1,
        "c/user": 0,
    }
    assert replay.moments()["c/user"].at == -inf


def test_a_context_whose_panel_grew_has_the_union_of_its_experts() -> None:
    replay = Replay()
    replay.scored("t1", "c", ["b@1"], [0.5], [True], [0.5] * 4, 0.5, NOON, 0)
    replay.scored("t2", "c", ["b@1", "a@1"], [0.5, 0.9], [True, True], [0.7] * 4, 0.7, NOON + 1, 0)
    for turn in ("t1", "t2"):
        replay.labelled(turn, "ann", 2, 1)
    moments = replay.moments()["c"]
    assert moments.experts == ("a@1", "b@1")
    assert moments.own[:, 2, 0].tolist() == [1.0, 2.0]


def test_the_distance_sees_one_lost_round_and_forgives_rounding() -> None:
    rounds = random_rounds(5, 30)
    moments: Moments = learned(rounds)
    assert distance(moments, moments) == 0.0
    assert distance(learned(rounds.select(slice(0, 29))), moments) > 1e-3
    assert distance(zero(PANEL, (inf,)), zero(PANEL)) == inf
