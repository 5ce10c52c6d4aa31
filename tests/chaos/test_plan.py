"""The nemesis itself: what it plans, sends and reports."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import msgspec
import pytest

from chaos.fleet import Ending
from chaos.nemesis import Fault, Outcome
from chaos.pieces import BAR, BAR_LABELS, BAR_TURNS, full
from chaos.plan import NOBODY, Action, Deed, Moment, Plan, released, with_session
from chaos.report import Results, Run, render, run_of
from chaos.scenarios import PARTITIONS, SCENARIOS, everything, killed, paused, scaled
from chaos.traffic import Post, traffic
from stream.codecs import Rejected, decode_label, decode_turn
from stream.records import Label, Turn

SEEDS = range(50)
NOW = 1_800_000_000_000


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_seed_gives_one_plan_and_another_seed_another(name: str) -> None:
    assert SCENARIOS[name](7) == SCENARIOS[name](7)
    assert SCENARIOS[name](7).actions != SCENARIOS[name](8).actions


@pytest.mark.parametrize("name", SCENARIOS)
def test_only_workers_that_run_are_harmed_and_one_always_runs(name: str) -> None:
    for seed in SEEDS:
        plan = SCENARIOS[name](seed)
        running = set(range(plan.start))
        for action in (action for action in plan.actions if action.deed not in NOBODY):
            assert (action.target in running) is (action.deed is not Deed.JOIN)
            if action.deed is Deed.JOIN:
                running.add(action.target)
            if action.deed is Deed.LEAVE:
                running.remove(action.target)
            assert running


def test_killed_kills_twenty_times_and_over_the_seeds_at_every_kind_of_moment() -> None:
    plans = [killed(seed) for seed in SEEDS]
    assert {plan.count(Deed.KILL) for plan in plans} == {20}
    assert {action.moment for plan in plans for action in plan.actions} == set(Moment)


def test_pauses_outlast_the_session_also_when_the_broker_wants_a_longer_one() -> None:
    for seed in SEEDS:
        for plan in (paused(seed), with_session(paused(seed), 6.0)):
            assert plan.count(Deed.PAUSE) == 5
            assert min(action.lasting for action in plan.actions) > plan.session * 1.2


def test_a_second_and_a_third_worker_join_first_and_somebody_leaves() -> None:
    for seed in SEEDS:
        plan = scaled(seed)
        assert {plan.actions[0].target, plan.actions[1].target} == {1, 2}
        assert plan.count(Deed.LEAVE) >= 2


def test_traffic_has_so_many_turns_and_labels_and_every_kind_of_label() -> None:
    sent = traffic(3, 1000, 400, 4, NOW)
    turns = [decode_turn(post.record.value, 65536) for post in sent.posts if post.to == "turns"]
    labels = [decode_label(post.record.value) for post in sent.posts if post.to == "labels"]
    assert all(isinstance(turn, Turn) for turn in turns)
    assert (len(sent.turn_ids), len(labels)) == (1000, 400)
    assert 1000 < len(turns) < 1100
    votes = Counter((label.turn_id, label.annotator) for label in labels if isinstance(label, Label))
    assert max(votes.values()) >= 2
    assert len({turn for turn, _ in votes}) < len(votes)
    assert any(post.record.partition is not None for post in sent.posts)
    said = list(enumerate(_read(sent.posts)))
    first = {turn.turn_id: place for place, turn in reversed(said) if isinstance(turn, Turn)}
    told = [(place, label) for place, label in said if isinstance(label, Label)]
    assert len(told) == 400
    assert 0 < sum(place < first[label.turn_id] for place, label in told) < len(told) / 2


def test_traffic_is_a_function_of_its_seed() -> None:
    assert traffic(3, 100, 50, 4, NOW) == traffic(3, 100, 50, 4, NOW)
    assert traffic(3, 100, 50, 4, NOW) != traffic(4, 100, 50, 4, NOW)


def test_each_fault_finds_traffic_left_to_meet_and_a_burst_takes_the_rest_of_its_share() -> None:
    flow = [released(100, seconds, 4, 1000) for seconds in (0.0, 1.0, 4.0, 60.0)]
    assert flow[0] == 100
    assert all(a < b for a, b in pairwise(flow))
    assert flow[-1] < 100 + 900 / 5
    assert released(100, 0.0, 4, 1000, burst=True) == 100 + 900 // 5
    assert released(100, 0.0, 0, 1000) == 1000


def test_the_report_counts_what_was_done_and_names_every_problem() -> None:
    plan = Plan("killed", 5, 2, 2, 3.0, (Action(Deed.KILL, 1, Moment.READY, 0.1),))
    outcome = Outcome(plan, "memory", 10, 4, endings=[Ending(1, 2.0, -9, ""), Ending(0, 3.0, 6, "newer")])
    outcome.faults.append(Fault(plan.actions[0], 1.0, 3))
    outcome.problems.append("turn t1 has no verdict")
    run = run_of(outcome)
    page = render(Results("2026-01-01", "make chaos", 2, (run,)))
    assert (run.faults, run.endings) == ({"kill": 1}, {"-9": 1, "6": 1})
    assert "| killed, memory | 1 | 10 | 4 |" in page
    assert "| killed | 1 kill |" in page
    assert "- killed seed 5 (memory): turn t1 has no verdict" in page
    assert msgspec.json.decode(msgspec.json.encode(run))["problems"] == ["turn t1 has no verdict"]


def test_the_pieces_of_a_full_command_pass_the_bar() -> None:
    pieces = full(1)
    plans = [SCENARIOS[piece.scenario](piece.seed) for piece in pieces]
    for what, (deeds, asked) in BAR.items():
        assert sum(plan.count(*deeds) for plan in plans) >= asked, what
    assert sum(piece.turns for piece in pieces) >= BAR_TURNS
    assert sum(piece.labels for piece in pieces) >= BAR_LABELS
    assert {piece.scenario for piece in pieces} == set(SCENARIOS)
    assert len(set(pieces)) == len(pieces)


def test_what_was_run_is_found_again_as_the_same_piece() -> None:
    piece = full(1)[0]
    outcome = Outcome(SCENARIOS[piece.scenario](piece.seed), piece.store, piece.turns, piece.labels)
    kept = msgspec.json.decode(msgspec.json.encode(run_of(outcome)), type=Run)
    assert (kept.piece, kept.passed) == (piece, True)
    outcome.broken.append("a port was taken")
    assert not run_of(outcome).passed


def test_a_harness_that_failed_is_no_problem_of_the_worker() -> None:
    plan = killed(1)
    page = render(Results("2026-01-01", "", 2, (run_of(Outcome(plan, "memory", 1, 1, broken=["a port was taken"])),)))
    assert "## Problems" not in page
    assert "- killed seed 1 (memory): a port was taken" in page.partition("the harness failed")[2]


def test_topics_only_grow_and_a_scenario_may_do_every_deed() -> None:
    done: set[Deed] = set()
    for seed in SEEDS:
        plan = everything(seed)
        grown = [int(action.amount) for action in plan.actions if action.deed is Deed.GROW]
        assert grown == sorted(set(grown))
        assert all(PARTITIONS < many <= 2 * PARTITIONS for many in grown)
        done |= {action.deed for action in plan.actions}
    assert done == set(Deed) - {Deed.REPLACE}


def test_poison_is_refused_by_the_decoders_in_every_way_and_the_good_traffic_is_as_without() -> None:
    clean, mixed = traffic(3, 400, 200, 4, NOW), traffic(3, 400, 200, 4, NOW, poison=2.0)
    good = set(clean.posts)
    bad = [post for post in mixed.posts if post not in good]
    assert [post for post in mixed.posts if post in good] == list(clean.posts)
    assert len(bad) == 2 * (400 + 200)
    reasons = Counter(said.reason if isinstance(said, Rejected) else "usable" for said in _read(tuple(bad)))
    assert set(reasons) == {
        "usable", "not_json", "not_utf8", "empty", "missing_field", "wrong_type", "out_of_range", "text_too_large",
        "metadata_too_large", "label_too_large",
    }  # fmt: skip
    assert reasons["usable"] < len(bad) / 5


def _read(posts: tuple[Post, ...]) -> list[object]:
    """What each message says."""
    return [
        decode_turn(post.record.value, 65536)
        if post.to == "turns"
        else decode_label(post.record.value, post.record.key)
        for post in posts
    ]
