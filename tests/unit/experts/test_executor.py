import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from experts.base import ABSTAINED, ERROR, OK, TIMEOUT, Expert, Passage, Scores
from experts.errors import PanelError
from experts.executor import OnFailure, Panel
from experts.fakes import ConstantExpert, CrashingExpert, InstantExpert, NaNExpert, SlowExpert, hashed_score
from experts.isolation import CALLS_PER_HALVING

PATIENCE = 30.0  # seconds that a test waits for what must happen; far above any real wait


@contextmanager
def panel(*experts: Expert, timeout: float | None = PATIENCE, on_failure: OnFailure | None = None) -> Iterator[Panel]:
    made = Panel(experts, timeout, on_failure)
    try:
        yield made
    finally:
        made.close()


def texts(count: int) -> list[Passage]:
    return [Passage("user", f"turn {number}") for number in range(count)]


@dataclass
class Answering:
    """Answers with whatever the function makes of the passages."""

    make: Callable[[Sequence[Passage]], object]
    name: str = "answering"
    version: str = "1"

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        return self.make(passages)  # type: ignore[return-value]  # a wrong answer is what some tests are about


def test_each_expert_has_its_column_in_the_order_given() -> None:
    with panel(InstantExpert("a", salt=1), ConstantExpert(0.25, "b")) as both:
        advice = both.advise(texts(3))
    assert both.ids == ("a@1", "b@1")
    assert advice.scores.dtype == np.float32
    assert advice.scores[:, 0].tolist() == [np.float32(hashed_score(passage, 1)) for passage in texts(3)]
    assert advice.scores[:, 1].tolist() == [0.25] * 3
    assert advice.awake.all()
    assert advice.seconds.shape == (2,)


def test_no_passages_ask_no_expert() -> None:
    crashing = CrashingExpert()
    with panel(crashing) as one:
        assert one.advise([]).scores.shape == (0, 1)
    assert crashing.calls == 0


def test_a_panel_without_experts_is_refused() -> None:
    with pytest.raises(PanelError, match="at least one expert"):
        Panel([])


def test_two_experts_of_one_id_are_refused() -> None:
    with pytest.raises(PanelError, match="named twice"):
        Panel([InstantExpert(), InstantExpert(salt=1)])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf"), -0.01, 1.01])
def test_what_is_no_probability_is_an_abstention(wrong: float) -> None:
    with panel(Answering(lambda passages: np.array([0.5, wrong, 1.0]))) as one:
        advice = one.advise(texts(3))
    assert advice.status[:, 0].tolist() == [OK, ABSTAINED, OK]
    assert np.isnan(advice.scores[1, 0])
    assert advice.scores[[0, 2], 0].tolist() == [0.5, 1.0]


@pytest.mark.parametrize("answer", [np.zeros((2, 1)), np.zeros(3), np.float32(0.5), None, "safe", ["x", "y"]])
def test_an_answer_of_another_shape_or_type_is_an_error_of_that_expert_alone(answer: object) -> None:
    with panel(Answering(lambda passages: answer), ConstantExpert()) as both:
        advice = both.advise(texts(2))
    assert advice.status.tolist() == [[ERROR, OK]] * 2


def test_a_poison_passage_silences_an_expert_for_itself_alone() -> None:
    crashing = CrashingExpert(lambda passage: passage.text == "turn 77")
    with panel(crashing, ConstantExpert()) as both:
        advice = both.advise(texts(256))
    assert np.flatnonzero(advice.status[:, 0] == ERROR).tolist() == [77]
    assert np.isnan(advice.scores[77, 0])
    assert advice.scores[78, 0] == np.float32(hashed_score(texts(79)[78]))
    assert advice.awake[:, 1].all()


def test_two_poison_passages_are_both_found() -> None:
    with panel(CrashingExpert(lambda passage: passage.text in ("turn 0", "turn 200"))) as one:
        advice = one.advise(texts(256))
    assert np.flatnonzero(advice.status[:, 0] == ERROR).tolist() == [0, 200]


def test_an_expert_that_always_fails_is_asked_a_bounded_number_of_times() -> None:
    crashing = CrashingExpert()
    with panel(crashing) as one:
        advice = one.advise(texts(256))
    assert (advice.status == ERROR).all()
    assert crashing.calls == 1 + CALLS_PER_HALVING * 9


def test_even_an_expert_that_exits_is_only_an_error() -> None:
    def leave(passages: Sequence[Passage]) -> object:
        raise SystemExit(3)

    with panel(Answering(leave), ConstantExpert()) as both:
        assert both.advise(texts(1)).status.tolist() == [[ERROR, OK]]
        assert both.advise(texts(1)).status.tolist() == [[ERROR, OK]]


def test_a_slow_expert_times_out_and_the_others_still_answer() -> None:
    slow = SlowExpert(PATIENCE)
    with panel(slow, ConstantExpert(), timeout=0.05) as both:
        advice = both.advise(texts(2))
        slow.release.set()
    assert advice.status.tolist() == [[TIMEOUT, OK]] * 2
    assert np.isnan(advice.scores[:, 0]).all()
    assert advice.seconds[0] > 0


def test_an_expert_sleeps_until_its_stuck_call_returns_and_no_calls_pile_up() -> None:
    slow = SlowExpert(PATIENCE)
    with panel(slow, timeout=0.05) as one:
        one.advise(texts(1))
        assert one.stuck == ("slow@1",)
        for _ in range(5):
            assert one.advise(texts(1)).status.tolist() == [[TIMEOUT]]
        assert slow.calls == 1
        slow.release.set()
        wait_until(lambda: one.stuck == ())
        assert slow.calls == 1
        assert one.advise(texts(1)).status.tolist() == [[OK]]


def test_a_call_that_waited_in_vain_behind_a_stuck_one_is_never_made() -> None:
    slow = SlowExpert(PATIENCE)
    with panel(slow, timeout=0.3) as one:
        behind = threading.Thread(target=one.advise, args=(texts(2),))
        first = threading.Thread(target=one.advise, args=(texts(1),))
        first.start()
        assert slow.entered.wait(PATIENCE)
        behind.start()
        first.join(PATIENCE)
        behind.join(PATIENCE)
        slow.release.set()
        wait_until(lambda: one.stuck == ())
    assert slow.calls == 1


def test_no_timeout_waits_for_the_answer() -> None:
    slow = SlowExpert(PATIENCE)
    with panel(slow, timeout=None) as one:
        threading.Timer(0.05, slow.release.set).start()
        assert one.advise(texts(1)).status.tolist() == [[OK]]


def test_several_threads_may_ask_at_once_and_each_gets_its_own_answers() -> None:
    answers: dict[int, Scores] = {}
    with panel(InstantExpert("a"), InstantExpert("b", salt=9)) as both:

        def ask(number: int) -> None:
            answers[number] = both.advise(texts(number)).scores

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 33)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        expected = both.advise(texts(32)).scores
    assert sorted(answers) == list(range(1, 33))
    assert all(np.array_equal(scores, expected[:number]) for number, scores in answers.items())


def test_failures_are_reported_by_expert_status_and_number_but_abstentions_are_not() -> None:
    failures: list[tuple[str, int, int]] = []
    slow = SlowExpert(PATIENCE)
    crashing = CrashingExpert(lambda passage: passage.text == "turn 1")
    experts = (slow, crashing, NaNExpert(), ConstantExpert())
    with panel(*experts, timeout=0.2, on_failure=lambda *failure: failures.append(failure)) as four:
        four.advise(texts(3))
        slow.release.set()
    assert failures == [("slow@1", TIMEOUT, 3), ("crashing@1", ERROR, 1)]


def test_a_row_of_failures_is_logged_once_without_the_message_that_might_quote_a_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(passages: Sequence[Passage]) -> object:
        raise ValueError(f"cannot read {passages[0].text}")

    with caplog.at_level(logging.WARNING), panel(Answering(fail)) as one:
        one.advise([Passage("user", "a private matter")])
        one.advise([Passage("user", "a private matter")])
    (record,) = caplog.records
    assert "answering@1" in record.getMessage()
    assert "ValueError" in record.getMessage()
    assert "private" not in caplog.text


def test_warming_up_asks_every_expert_and_waits_past_the_timeout() -> None:
    slow = SlowExpert(PATIENCE)
    with panel(slow, timeout=0.01) as one:
        threading.Timer(0.05, slow.release.set).start()
        one.warm_up()
    assert slow.calls == 2


def test_a_closed_panel_refuses_and_says_so() -> None:
    with panel(ConstantExpert()) as one:
        one.advise(texts(1))
    with pytest.raises(PanelError, match="closed"):
        one.advise(texts(1))


def test_closing_waits_for_the_call_under_way() -> None:
    slow = SlowExpert(PATIENCE)
    one = Panel([slow])
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            one.advise(texts(1))
        except PanelError as error:
            raised.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert slow.entered.wait(PATIENCE)
    threading.Timer(0.05, slow.release.set).start()
    one.close()
    asking.join(PATIENCE)
    assert not asking.is_alive()
    assert len(raised) == 1


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    timer = threading.Timer(PATIENCE, deadline.set)
    timer.start()
    try:
        while not condition():
            assert not deadline.wait(0.005), "the condition did not come true in time"
    finally:
        timer.cancel()
