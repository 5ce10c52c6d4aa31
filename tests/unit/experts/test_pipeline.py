"""Experts on one trunk, asked through a panel: what they share, and how each is kept from the others' trouble."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from experts import pipeline
from experts.base import ABSTAINED, ERROR, OK, TIMEOUT, Expert, Passage
from experts.executor import Panel
from experts.fakes import ConstantExpert
from experts.taxonomy import INDEX, RISKS
from support.trunks import PATIENCE, Stand, WatchedHead, feature, users, wait_until


@contextmanager
def panel(*experts: Expert, timeout: float | None = PATIENCE) -> Iterator[Panel]:
    made = Panel(experts, timeout)
    try:
        yield made
    finally:
        made.close()


def probability(text: str, weight: float = 1.0) -> float:
    return float(1 / (1 + np.exp(-weight * feature(text))))


def texts(count: int, start: int = 0) -> list[str]:
    return [f"{'word ' * (number % 7)}turn {number}" for number in range(start, start + count)]


def test_heads_on_one_trunk_each_give_their_own_column_from_one_run_of_it() -> None:
    stand = Stand()
    with panel(stand.head("a"), ConstantExpert(0.5, "between"), stand.head("b", WatchedHead((-2.0,)))) as three:
        advice = three.advise(users(*texts(40)))
    assert sorted(stand.session.texts) == sorted(texts(40))
    assert sorted(stand.reader.read) == sorted(texts(40))
    assert advice.scores[:, 0] == pytest.approx([probability(text) for text in texts(40)], abs=1e-6)
    assert advice.scores[:, 1].tolist() == [0.5] * 40
    assert advice.scores[:, 2] == pytest.approx([probability(text, -2.0) for text in texts(40)], abs=1e-6)
    assert advice.awake.all()


def test_a_head_that_sleeps_on_a_role_is_not_asked_and_a_turn_that_no_head_reads_is_not_run() -> None:
    stand, replies = Stand(), WatchedHead()
    experts = stand.head("all", roles=("user", "assistant")), stand.head("replies", replies, roles=("assistant",))
    with panel(*experts) as both:
        advice = both.advise([Passage("user", "u"), Passage("assistant", "a"), Passage("system", "s")])
    assert advice.status.tolist() == [[OK, ABSTAINED], [OK, OK], [ABSTAINED, ABSTAINED]]
    assert replies.rows == 1
    assert sorted(stand.session.texts) == ["a", "u"]


def test_what_the_backbone_does_not_read_no_head_reads() -> None:
    stand = Stand(roles=("user",))
    with panel(stand.head("a")) as one:
        assert one.advise([Passage("assistant", "x"), Passage("user", "x")]).status.tolist() == [[ABSTAINED], [OK]]


def test_a_turn_with_nothing_to_read_is_abstained_on_and_not_run() -> None:
    stand = Stand()
    with panel(stand.head("a")) as one:
        assert one.advise(users("", "x")).status.tolist() == [[ABSTAINED], [OK]]
        assert one.advise(users(" ")).status.tolist() == [[ABSTAINED]]
    assert stand.session.texts == ["x"]


def test_batches_are_of_one_length_and_within_the_budget() -> None:
    stand = Stand(budget=24)
    with panel(stand.head("a")) as one:
        one.advise(users(*texts(100)))
    for batch in stand.session.batches:
        lengths = [len(text.split()) for text in batch]
        assert max(lengths) * len(batch) <= 24
        assert max(lengths) - min(lengths) <= 1


def test_passages_of_callers_that_wait_together_share_batches_and_each_caller_gets_its_own_answers() -> None:
    stand = Stand(budget=64)
    stand.session.gate.clear()
    with panel(stand.head("a")) as one, ThreadPoolExecutor(8) as callers:
        first = callers.submit(one.advise, users("the first"))
        assert stand.session.entered.wait(PATIENCE)
        others = [callers.submit(one.advise, users(f"of {number}", "same text")) for number in range(6)]
        wait_until(lambda: len(stand.reader.read) == 13)
        stand.session.gate.set()
        scores = [other.result(PATIENCE).scores[:, 0] for other in others]
        assert first.result(PATIENCE).awake.all()
    assert max(map(len, stand.session.batches)) >= 6
    for number, found in enumerate(scores):
        assert found == pytest.approx([probability(f"of {number}"), probability("same text")], abs=1e-6)


def test_the_next_passages_are_tokenised_while_the_model_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK", 4)
    stand = Stand()
    stand.session.gate.clear()
    with panel(stand.head("a")) as one, ThreadPoolExecutor(1) as caller:
        asked = caller.submit(one.advise, users(*texts(16)))
        wait_until(lambda: len(stand.reader.read) == 16)
        assert stand.session.batches == []
        stand.session.gate.set()
        assert asked.result(PATIENCE).awake.all()


def test_a_model_that_does_not_keep_up_stops_the_tokeniser_so_that_little_waits_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "CHUNK", 2)
    monkeypatch.setattr(pipeline, "BUDGETS_WAITING", 2)
    stand = Stand(budget=4)  # two texts of two words
    stand.session.gate.clear()
    many = [f"turn {number}" for number in range(100)]
    with panel(stand.head("a")) as one, ThreadPoolExecutor(1) as caller:
        asked = caller.submit(one.advise, users(*many))
        assert stand.session.entered.wait(PATIENCE)
        # Two are at work, four fill the pool, two are in the tokeniser's hands.
        wait_until(lambda: len(stand.reader.read) == 8)
        assert not asked.done()
        stand.session.gate.set()
        assert asked.result(PATIENCE).scores[:, 0] == pytest.approx([probability(text) for text in many], abs=1e-6)
    assert sorted(stand.session.texts) == sorted(many)


def test_callers_wait_in_line_when_the_queue_of_calls_is_full_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CALLS_WAITING", 1)
    monkeypatch.setattr(pipeline, "BUDGETS_WAITING", 1)
    stand = Stand(budget=1)
    stand.session.gate.clear()
    with panel(stand.head("a"), timeout=None) as one, ThreadPoolExecutor(12) as callers:
        asked = [callers.submit(one.advise, users(f"{number}")) for number in range(12)]
        assert stand.session.entered.wait(PATIENCE)
        assert len(stand.reader.read) <= 3
        stand.session.gate.set()
        assert all(each.result(PATIENCE).awake.all() for each in asked)
    assert sorted(stand.session.texts, key=int) == [f"{number}" for number in range(12)]


def test_a_caller_that_finds_no_room_in_time_goes_on_with_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CALLS_WAITING", 1)
    monkeypatch.setattr(pipeline, "BUDGETS_WAITING", 1)
    stand = Stand(budget=1)
    stand.session.gate.clear()
    served = pipeline.Pipeline(stand.trunk)
    experts = (stand.head("a"),)
    early = [served.submit(users(text), experts, None) for text in ("0", "1", "2", "3")]
    late = served.submit(users("late"), experts, 0.0)
    assert served.collect(late, 1, 1, 0.0)[0].status.tolist() == [TIMEOUT]
    stand.session.gate.set()
    assert [served.collect(call, 1, 1, None)[0].status.tolist() for call in early] == [[OK]] * 4
    served.close(PATIENCE)
    assert "late" not in stand.session.texts


def test_all_heads_on_a_stuck_model_sleep_until_it_returns_and_other_experts_go_on() -> None:
    stand = Stand()
    stand.session.gate.clear()
    with panel(stand.head("a"), ConstantExpert(), stand.head("b"), timeout=0.1) as three:
        assert three.advise(users("x")).status.tolist() == [[TIMEOUT, OK, TIMEOUT]]
        assert three.stuck == ("a@1", "b@1")
        for _ in range(5):
            assert three.advise(users("behind")).status.tolist() == [[TIMEOUT, OK, TIMEOUT]]
        stand.session.gate.set()
        wait_until(lambda: three.stuck == ())
        wait_until(lambda: bool(three.advise(users("later")).awake.all()))
    assert "behind" not in stand.session.texts


def test_a_caller_that_leaves_keeps_what_was_answered_in_time() -> None:
    stand, released = Stand(budget=1), threading.Event()
    stand.session.spoil = lambda text: feature(text) if text == "a" or released.wait(PATIENCE) else 0.0
    with panel(stand.head("a"), timeout=0.5) as one:
        advice = one.advise(users("a", "two words"))
        released.set()
    assert advice.status[:, 0].tolist() == [OK, TIMEOUT]
    assert advice.scores[0, 0] == pytest.approx(probability("a"), abs=1e-6)


def test_a_poison_passage_silences_the_experts_for_itself_alone_wherever_it_strikes() -> None:
    for strike in ("reader", "session", "head"):
        stand, head = Stand(budget=64), WatchedHead()
        if strike == "reader":
            stand.reader.unreadable = lambda passage: passage.text == "turn 7"
        elif strike == "session":
            stand.session.spoil = lambda text: feature(text) if text != "turn 7" else 1 / 0
        else:
            head.poison = feature("turn 7")
        with panel(stand.head("a", head), stand.head("b")) as both:
            advice = both.advise(users(*(f"turn {number}" for number in range(30))))
        failed = [[7], [7]] if strike != "head" else [[7], []]
        assert [np.flatnonzero(column == ERROR).tolist() for column in advice.status.T] == failed, strike
        assert int(advice.awake.sum()) == 60 - sum(map(len, failed))


@pytest.mark.parametrize("part", ["reader", "session"])
def test_a_model_that_gives_too_few_rows_is_an_error_of_its_experts_and_kills_no_thread(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand(budget=64)
    if part == "reader":
        monkeypatch.setattr(stand.reader, "encode", lambda passages: [])
    else:
        monkeypatch.setattr(stand.session, "run", lambda feeds: np.zeros((0, 3), np.float32))
    with panel(stand.head("a"), ConstantExpert()) as both:
        assert both.advise(users("x", "y")).status.tolist() == [[ERROR, OK]] * 2
        assert both.healthy


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_model_whose_output_is_no_number_sleeps_on_that_turn_and_says_so_once(
    wrong: float, caplog: pytest.LogCaptureFixture
) -> None:
    stand = Stand()
    stand.session.spoil = lambda text: wrong if text == "odd" else feature(text)
    with caplog.at_level(logging.WARNING), panel(stand.head("a")) as one:
        for _ in range(3):
            assert one.advise(users("odd", "x", "odd")).status[:, 0].tolist() == [ABSTAINED, OK, ABSTAINED]
    (record,) = caplog.records
    assert "a@1 gave NaN or infinity for 2 of 3 turns" in record.getMessage()


def test_a_row_of_failures_is_one_line_without_the_text() -> None:
    stand = Stand()
    stand.reader.unreadable = lambda passage: True
    logger, lines = logging.getLogger("experts.pipeline"), list[str]()
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        with panel(stand.head("a")) as one:
            one.advise(users("a private matter"))
            one.advise(users("a private matter"))
    finally:
        logger.removeHandler(handler)
    (line,) = lines
    assert line.startswith("the tokeniser of trunk@1 failed with RuntimeError at ")
    assert "private" not in line


@pytest.mark.parametrize("stage", ["pre", "core", "post"])
def test_a_thread_that_dies_fails_every_caller_at_once_and_the_panel_is_healthy_no_more(
    stage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stand = Stand(budget=1)
    stand.session.gate.clear()
    died = threading.Event()

    def die(*_: object) -> None:
        died.wait(PATIENCE)
        raise MemoryError

    monkeypatch.setattr(pipeline.Pipeline, {"pre": "_tokenised", "core": "_computed", "post": "_conclude"}[stage], die)
    with panel(stand.head("a"), ConstantExpert(), timeout=None) as both, ThreadPoolExecutor(4) as callers:
        assert (both.healthy, both.failure) == (True, None)
        asked = [callers.submit(both.advise, users("x", "y")) for _ in range(4)]
        stand.session.gate.set()
        died.set()
        for each in asked:
            assert each.result(PATIENCE).status.tolist() == [[ERROR, OK]] * 2
        assert both.advise(users("later")).status.tolist() == [[ERROR, OK]]
        assert not both.healthy
        assert both.failure is not None
        assert both.failure.startswith(f"thread {stage}-trunk@1 died of MemoryError at ")
    (record,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert record.getMessage().startswith(both.failure)


def test_a_lane_whose_thread_dies_fails_its_callers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("experts.lane.ask", die)
    with panel(ConstantExpert(), timeout=None) as one:
        assert one.advise(users("x")).status.tolist() == [[ERROR]]
        wait_until(lambda: not one.healthy)
        assert "expert-constant@1 died of MemoryError at" in str(one.failure)
        assert one.advise(users("later")).status.tolist() == [[ERROR]]


def test_risks_are_the_mean_of_the_experts_that_tell_them_and_are_awake() -> None:
    stand = Stand()
    experts = (
        stand.head("a", WatchedHead((1.0, 2.0)), ("violence", "threat")),
        stand.head("b", WatchedHead((1.0, 3.0)), ("unsafe", "violence"), roles=("user",)),
        ConstantExpert(),
    )
    with panel(*experts) as three:
        risks = three.advise([Passage("user", "x"), Passage("assistant", "x"), Passage("user", "")]).risks
    assert risks is not None
    assert risks.shape == (3, len(RISKS))
    violence, threat = risks[:, INDEX["violence"]], risks[:, INDEX["threat"]]
    assert violence[0] == pytest.approx((probability("x") + probability("x", 3.0)) / 2, abs=1e-6)
    assert violence[1] == pytest.approx(probability("x"), abs=1e-6)
    assert threat[:2] == pytest.approx([probability("x", 2.0)] * 2, abs=1e-6)
    assert np.isnan(risks[2]).all()
    assert np.isnan(np.delete(risks, [INDEX["violence"], INDEX["threat"]], axis=1)).all()


def test_a_panel_in_which_nobody_tells_risks_apart_has_none() -> None:
    with panel(Stand().head("a"), ConstantExpert()) as both:
        assert both.advise(users("x")).risks is None


def test_a_reshaped_panel_keeps_the_threads_of_what_stays_and_both_answer() -> None:
    stand, constant, leaving = Stand(), ConstantExpert(), ConstantExpert(0.1, "leaving")
    a, b = stand.head("a"), stand.head("b", WatchedHead((2.0,)))
    others = set(threading.enumerate())
    old = Panel([a, leaving, constant], PATIENCE)
    ours = set(threading.enumerate()) - others
    new = old.reshaped([constant, b, a])
    assert set(threading.enumerate()) - others == ours
    assert (new.ids, old.ids) == (("constant@1", "b@1", "a@1"), ("a@1", "leaving@1", "constant@1"))
    assert old.advise(users("x")).scores[0, 0] == new.advise(users("x")).scores[0, 2]
    old.close()
    assert {thread.name for thread in ours if not thread.is_alive()} == {"expert-leaving@1"}
    assert new.advise(users("x")).scores[0] == pytest.approx([0.5, probability("x", 2.0), probability("x")], abs=1e-6)
    new.close()
    assert not any(thread.is_alive() for thread in ours)


def test_a_panel_that_is_closed_twice_takes_nothing_from_the_one_that_shares_its_threads() -> None:
    constant = ConstantExpert()
    old = Panel([constant])
    new = old.reshaped([constant])
    old.close()
    old.close()
    assert new.advise(users("x")).awake.all()
    new.close()


def test_calls_under_way_end_in_a_panel_that_another_has_replaced() -> None:
    stand = Stand()
    stand.session.gate.clear()
    old = Panel([stand.head("a")], PATIENCE)
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(old.advise, users("x"))
        assert stand.session.entered.wait(PATIENCE)
        new = old.reshaped([*old.experts, ConstantExpert()])
        stand.session.gate.set()
        assert asked.result(PATIENCE).awake.all()
    old.close()
    assert new.advise(users("y")).awake.all()
    new.close()
