"""From verdicts and labels to a stream: which label is known when, which is left out, and what a worker had learned."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from ensemble import PERMISSIVE, Limits, distance, report
from experts.base import Passage
from stream.evaluation.data import Row
from stream.evaluation.scoring import Scored
from stream.labels import MOST_ANNOTATORS, Counting
from stream.replay.stream import (
    CROWDED,
    REPEATED,
    REVOKED,
    UNASKED,
    UNCHANGED,
    UNCHOSEN,
    UNKNOWN,
    Coming,
    Stream,
    from_rows,
    from_tape,
)
from stream.replay.tape import Tape
from stream.simulation import Reading, Simulated, simulate
from support.streams import BEGAN, Worked, judged_line, label_line, made_up, worked

NEVER = 10
"""Turns of the streams below: due then is after the last."""


def minute(count: float) -> Any:
    return BEGAN + timedelta(minutes=count)


def tape_of(*rows: dict[str, Any]) -> Tape:
    tape = Tape()
    for row in rows:
        assert tape.line(json.dumps(row).encode()) is None
    return tape


def ten(*labels: dict[str, Any], **more: Any) -> Tape:
    """Ten turns, one a minute, and these labels."""
    return tape_of(*labels, *(judged_line(n, {"a": 0.1 * n, "b": None}, minute(n), **more) for n in range(10)))


def told(stream: Stream) -> list[tuple[int, int, int, int]]:
    """(due, row, before, after) of each change."""
    changes = stream.changes
    return list(
        zip(changes.due.tolist(), changes.row.tolist(), changes.before.tolist(), changes.after.tolist(), strict=True)
    )


def run(stream: Stream) -> Simulated:
    return simulate(stream.turns, stream.changes, [Reading(0, lambda context: PERMISSIVE)])


def replayed(done: Worked, **how: Any) -> Simulated:
    tape = Tape()
    for value in (*done.verdicts, *done.labels):
        assert tape.line(value) is None
    return run(from_tape(tape, Coming(**how)))


@pytest.mark.parametrize(
    ("coming", "due"),
    [
        (Coming(), 5),
        (Coming(delay=60.0), 6),
        (Coming(delay=29.9), 5),
        (Coming(delay_turns=2), 7),
        (Coming(delay=60.0, delay_turns=1), 7),
        (Coming(delay=86400.0), NEVER),
    ],
)
def test_a_label_is_known_to_the_turns_that_are_scored_after_it_came(coming: Coming, due: int) -> None:
    assert told(from_tape(ten(label_line(2, "unsafe", minute(4.5))), coming)) == [(due, 2, -1, 2)]


def test_a_label_at_the_very_time_of_a_turn_or_before_its_own_is_not_known_to_it() -> None:
    labels = label_line(2, "unsafe", minute(4)), label_line(8, "safe", minute(1))
    assert told(from_tape(ten(*labels), Coming())) == [(5, 2, -1, 2), (9, 8, -1, 0)]


def test_votes_are_resolved_by_the_majority_with_the_newest_of_each_annotator() -> None:
    labels = [
        label_line(0, "safe", minute(1.5)),
        label_line(0, "unsafe", minute(2.5), "bob"),  # a tie: the more severe
        label_line(0, "safe", minute(2.2), "bob"),  # older than what bob said, and it comes before
        label_line(0, "safe", minute(3.5), "eve"),
        label_line(0, "needs_caution", minute(0.5)),  # older than the first, and it comes before
    ]
    stream = from_tape(ten(*labels), Coming())
    assert told(stream) == [(1, 0, -1, 1), (2, 0, 1, 0), (3, 0, 0, 2), (4, 0, 2, 0)]
    assert stream.classes.tolist() == [0] + [-1] * 9
    assert stream.left_out == {UNCHANGED: 1}


def test_what_is_left_out_is_counted_by_its_reason() -> None:
    crowd = [label_line(0, "safe", minute(1), f"a{n}") for n in range(MOST_ANNOTATORS + 2)]
    tape = ten(*crowd, label_line(99, "safe", minute(1)), label_line(1, "safe", minute(2), tenant="another"))
    tape.verdict(json.dumps(judged_line(3, {"a": 0.9}, minute(30))).encode())
    stream = from_tape(tape, Coming())
    assert stream.left_out == {REPEATED: 1, UNKNOWN: 2, CROWDED: 2, UNCHANGED: MOST_ANNOTATORS - 1}
    assert len(stream.turns) == 10
    assert stream.turns.at[3] == minute(3).timestamp()


def test_a_share_of_the_turns_is_labelled_each_counts_for_the_others_and_a_seed_draws_the_same() -> None:
    verdicts, labels = made_up(400)
    streams = [from_tape(tape_of(*verdicts, *labels), Coming(rate=0.25, seed=seed)) for seed in (1, 1, 2)]
    learned = [set(stream.changes.row.tolist()) for stream in streams]
    assert learned[0] == learned[1] != learned[2]
    assert 70 < len(learned[0]) < 130
    assert set(streams[0].changes.q.tolist()) == {4.0}
    assert streams[0].left_out == {UNCHOSEN: 400 - len(learned[0])}


def test_a_label_that_was_asked_for_counts_by_its_probability_and_one_that_was_not_is_left_out() -> None:
    labels = [label_line(n, "safe", minute(n + 0.5)) for n in range(10)]
    asked = tape_of(
        *labels,
        *(judged_line(n, {"a": 0.5}, minute(n), ask_probability=0.2, ask_label=n < 4) for n in range(8)),
        *(judged_line(n, {"a": 0.5}, minute(n)) for n in range(8, 10)),
    )
    stream = from_tape(asked, Coming())
    assert dict(zip(stream.changes.row.tolist(), stream.changes.q.tolist(), strict=True)) == {
        **dict.fromkeys(range(4), 5.0), 8: 1.0, 9: 1.0,
    }  # fmt: skip
    assert stream.left_out == {UNASKED: 4}


def test_delays_are_those_of_the_first_label_that_is_learned_and_what_is_added() -> None:
    labels = (
        label_line(2, "unsafe", minute(4)),
        label_line(2, "safe", minute(9), "bob"),
        label_line(5, "safe", minute(0)),
    )
    stream = from_tape(ten(*labels), Coming(delay=30.0))
    assert sorted(stream.delays.tolist()) == [0.0, 150.0]


def test_turns_stand_by_time_whatever_the_order_of_lines() -> None:
    verdicts, labels = made_up(60)
    given, mixed = [*verdicts, *labels], [*labels[::-1], *verdicts[::-1]]
    one, other = (run(from_tape(tape_of(*rows), Coming())) for rows in (given, mixed))
    np.testing.assert_array_equal(one.published, other.published)


@pytest.mark.parametrize("how", [{}, {"as_published": True}])
def test_losses_of_the_experts_are_those_that_the_worker_learned_also_of_a_shadow(how: dict[str, bool]) -> None:
    done = worked(1, corrected=0.5)
    said = replayed(done, **how)
    for context, moments in done.moments.items():
        found, expected = (report(one, PERMISSIVE) for one in (end(said, context), moments))
        assert found.rounds == expected.rounds
        assert found.shadows == expected.shadows == ("newcomer@1",)
        np.testing.assert_allclose(found.losses, expected.losses, atol=1e-9)
        np.testing.assert_allclose(found.shadow_losses, expected.shadow_losses, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("merged", [True, False])
def test_as_published_the_moments_are_the_workers(seed: int, merged: bool) -> None:
    done = worked(seed, merged=merged)
    said = replayed(done, as_published=True)
    for context, moments in done.moments.items():
        assert distance(end(said, context), moments) < 1e-9


def test_forecast_anew_the_scores_are_the_workers_where_its_labels_were_read_in_time() -> None:
    done = worked(4)
    said = replayed(done)
    scores = {json.loads(value)["turn_id"]: json.loads(value)["score"] for value in done.verdicts}
    tape = Tape()
    for value in done.verdicts:
        tape.line(value)
    expected = [scores[judged.turn_id] for judged in tape.verdicts]
    np.testing.assert_allclose(said.published, [np.nan if s is None else s for s in expected], atol=1e-9)
    for context, moments in done.moments.items():
        assert distance(end(said, context), moments) < 1e-9


def end(said: Simulated, context: str) -> Any:
    return said.phases[context][-1].kept[-1].moments


def test_labelled_rows_are_turns_of_a_context_a_role_labelled_at_once() -> None:
    roles = ("user", "assistant")
    rows = tuple(Row(Passage(roles[n % 2], str(n)), 2 * (n % 2)) for n in range(10))
    stream = from_rows(Scored(("e@1",), rows, np.full((10, 1), 0.5, np.float32)), Coming(delay_turns=3))
    assert told(stream) == [(min(n + 4, 10), n, -1, 2 * (n % 2)) for n in range(10)]
    assert stream.turns.context == roles * 5


def reasons(rows: Iterable[bytes]) -> list[str]:
    tape, found = Tape(), []
    for row in rows:
        problem = tape.line(row)
        assert problem is not None
        found.append(problem.detail)
    assert not tape.verdicts
    assert not tape.labels
    return found


def test_what_is_neither_a_verdict_nor_a_label_is_refused_in_one_line_that_quotes_no_text() -> None:
    good = judged_line(0, {"a": 0.5}, minute(0))
    twice = good | {"experts": good["experts"] * 2}
    bad = [
        b"secret", b"[]", b'{"text": "secret"}', b"\xff",
        *(json.dumps(row).encode() for row in (
            good | {"score": 1.5}, good | {"scored_at": "2026-01-01T00:00:00"}, twice,
            good | {"experts": []}, label_line(0, "secret", minute(0)),
        )),
    ]  # fmt: skip
    found = reasons(bad)
    assert len(found) == len(bad)
    assert not any("secret" in detail or "\n" in detail for detail in found)
    assert "neither a verdict" in found[2]
    assert "named twice" in found[6]


def test_revoked_labels_are_left_out_and_lone_ones_wait_for_a_quorum() -> None:
    labels = [label_line(n, "unsafe", minute(5 + n), annotator=name) for n in (2, 3) for name in ("ann", "bob")]
    tape = ten(*labels, label_line(4, "unsafe", minute(9)))
    two = from_tape(tape, Coming(), lambda context: Counting(Limits(quorum=2)))
    assert [int(row) for row in two.changes.row] == [2, 3]
    at_ms = [int(minute(7).timestamp() * 1000)]
    revoked = Counting(Limits(quorum=2), {"bob": [(at_ms[0], at_ms[0])]})
    fewer = from_tape(tape, Coming(), lambda context: revoked)
    assert [int(row) for row in fewer.changes.row] == [3]
    assert fewer.left_out[REVOKED] == 1
