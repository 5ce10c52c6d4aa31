"""Who has said what: the newest vote of each, and the pace of a day without its pauses."""

from __future__ import annotations

from datetime import UTC, datetime

from stream.console.review.candidates import key_of
from stream.console.review.ledger import Ledger, pace_of
from stream.records import Label, LabelName

DAY = 1_767_225_600_000
MINUTE = 60_000


def label(turn_id: str, says: LabelName, annotator: str = "ann", at_ms: int = DAY) -> Label:
    return Label(turn_id, f"c-{turn_id}", says, annotator, datetime.fromtimestamp(at_ms / 1000, UTC))


def test_the_newest_vote_of_an_annotator_counts_in_whatever_order_they_come() -> None:
    for votes in ([("safe", 1), ("unsafe", 2)], [("unsafe", 2), ("safe", 1)]):
        ledger = Ledger()
        for says, seconds in votes:
            ledger.add(label("t", says, at_ms=DAY + seconds * 1000), DAY + MINUTE)  # type: ignore[arg-type]
        vote = ledger.vote(key_of("default", "t"), "ann")
        assert vote is not None
        assert vote.label == 2


def test_a_clock_that_runs_ahead_does_not_win_for_ever() -> None:
    ledger = Ledger()
    ledger.add(label("t", "unsafe", at_ms=DAY + 10**9), DAY)
    ledger.add(label("t", "safe", at_ms=DAY + 1_000), DAY + 1_000)
    vote = ledger.vote(key_of("default", "t"), "ann")
    assert vote is not None
    assert vote.label == 0


def test_a_label_that_is_read_twice_or_corrected_is_one_turn_of_the_day() -> None:
    ledger = Ledger()
    for at_ms in (DAY, DAY, DAY + 5_000):
        ledger.add(label("t", "unsafe" if at_ms > DAY else "safe", at_ms=at_ms), at_ms)
    assert ledger.pace("ann", DAY).turns == 1
    assert list(ledger.paces(DAY)) == ["ann"]


def test_pauses_are_no_time_at_work_and_few_minutes_tell_no_pace() -> None:
    start = DAY // MINUTE
    minutes = {start + n: 2 for n in range(10)} | {start + 100 + n: 2 for n in range(10)}
    pace = pace_of(minutes, DAY)
    assert (pace.turns, pace.minutes, pace.hourly) == (40, 20, 120.0)
    assert pace_of({start: 9}, DAY).hourly is None
    assert pace_of(minutes, DAY + 50 * MINUTE).turns == 20


def test_only_turns_with_several_votes_tell_how_far_people_agree() -> None:
    ledger = Ledger()
    ledger.add(label("alone", "safe"), DAY)
    ledger.add(label("both", "safe"), DAY)
    ledger.add(label("both", "unsafe", "ben"), DAY)
    (votes,) = ledger.shared()
    assert set(votes) == {"ann", "ben"}
    assert set(ledger.said(key_of("default", "both"))) == {"ann", "ben"}


def test_the_ledger_forgets_the_turns_labelled_longest_ago_and_says_so() -> None:
    ledger = Ledger(most=2)
    for number in range(4):
        ledger.add(label(f"t{number}", "safe"), DAY)
    assert (ledger.turns(), ledger.forgotten) == (2, 2)
    assert not ledger.said(key_of("default", "t1"))
    assert ledger.said(key_of("default", "t3"))
