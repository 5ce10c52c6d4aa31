"""The oracle sees a turn that was asked for otherwise than its policy says, and a prior that is missing or moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from ensemble import Forecaster
from experts.base import OK, Advice
from stream import projection, state
from stream.records import Turn
from stream.settings import Settings
from stream.state import Pending
from stream.verdicts import Arrival, decide
from support.decided import ask_problems, prior_problems
from support.rounds import PANEL, advice, learned, random_rounds

SAMPLED = Settings(policy="sampled", policies={"sampled": {"ask": 0.2, "ask_unsure": 0.9}})
POLICY = SAMPLED.defined_policies()["sampled"]
TURNS = 60


@dataclass(frozen=True)
class Record:
    key: bytes
    value: bytes


def decisions() -> list[Pending]:
    scores, awake = advice(np.random.default_rng(3), TURNS, len(PANEL))
    status = np.where(awake, OK, 1).astype(np.uint8)
    instant = datetime(2026, 1, 1, tzinfo=UTC)
    turns = [Turn(f"t{n}", "c", "user", "text", instant) for n in range(TURNS)]
    arrivals = [Arrival(turn, 0, n, 0, state.digest("user", "text")) for n, turn in enumerate(turns)]
    forecaster = Forecaster.of(learned(random_rounds(1, 20)), POLICY, PANEL)
    told = Advice(scores.astype(np.float32), status)
    return list(decide(arrivals, range(TURNS), told, PANEL, forecaster, POLICY, 0))


def problems(n: int, pending: Pending) -> list[str]:
    return list(ask_problems(SAMPLED, "default", f"t{n}", pending))


def test_what_the_worker_decides_is_what_the_oracle_demands() -> None:
    decided = decisions()
    assert [problems(n, pending) for n, pending in enumerate(decided)] == [[]] * TURNS
    assert {pending.asked for pending in decided} == {True, False}
    assert len({pending.ask for pending in decided}) > TURNS / 2


def test_a_draw_or_a_probability_that_is_another_is_a_problem() -> None:
    for n, pending in enumerate(decisions()):
        (draw,) = problems(n, msgspec.structs.replace(pending, asked=not pending.asked))
        assert "not what was drawn" in draw
        probable = problems(n, msgspec.structs.replace(pending, ask=pending.ask * 0.99))
        assert any("must be" in problem for problem in probable)


@pytest.mark.parametrize(
    ("priors", "said"),
    [([], "no recorded prior"), ([{"a": 0.5}], None), ([{"a": 0.5}, {"a": 0.5}], None), ([{}, {"a": 1.0}], "changed")],
)
def test_a_context_that_used_labels_has_one_recorded_prior(priors: list[dict[str, float]], said: str | None) -> None:
    records = [Record(projection.prior_key("default/user"), projection.encode_prior(prior)) for prior in priors]
    records.append(Record(projection.part_key("default/user"), b""))
    found = list(prior_problems(records, decisions()))
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_a_context_that_used_no_labels_needs_no_prior() -> None:
    assert list(prior_problems([], [msgspec.structs.replace(p, used=0.0) for p in decisions()])) == []
