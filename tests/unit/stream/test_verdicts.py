"""The categories of a verdict: which risks it names, and that they are part of the decision that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from ensemble import PERMISSIVE, Forecaster, zero
from experts.base import OK, Advice, Opinion, Passage
from experts.executor import Panel
from experts.fakes import ConstantExpert
from experts.taxonomy import INDEX, RISKS
from stream import state
from stream.offline import OfflineScorer
from stream.records import Turn
from stream.settings import Settings
from stream.verdicts import CATEGORY_FLOOR, MOST_CATEGORIES, Arrival, categories_of, decide, verdict

PANEL = ("lexical@1",)


def advice_of(*rows: dict[str, float]) -> Advice:
    """Advice of one expert on as many turns as there are rows, with these risks; NaN for all others."""
    risks = np.full((len(rows), len(RISKS)), np.nan, np.float32)
    for row, scores in zip(risks, rows, strict=True):
        for risk, score in scores.items():
            row[INDEX[risk]] = score
    shape = (len(rows), 1)
    return Advice(np.full(shape, 0.7, np.float32), np.full(shape, OK, np.uint8), risks=risks)


def named(*rows: dict[str, float]) -> list[dict[str, float]]:
    return categories_of(advice_of(*rows), np.arange(len(rows)))


def arrival(number: int) -> Arrival:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    turn = Turn(f"t{number}", "c", "user", f"text {number}", at)
    return Arrival(turn, 0, number, 0, state.digest(turn.role, turn.text))


def test_a_verdict_names_the_risks_that_are_likely_enough_highest_first_to_four_decimals() -> None:
    (likely, unlikely, silent) = named(
        {"threat": 0.123456, "violence": 0.98768, "sexual": 0.02, "hate": CATEGORY_FLOOR}, {"hate": 0.0999}, {}
    )
    assert list(likely.items()) == [("violence", 0.9877), ("threat", 0.1235), ("hate", 0.1)]
    assert unlikely == silent == {}


def test_no_more_than_a_few_risks_are_named_and_equal_ones_in_the_order_of_the_taxonomy() -> None:
    (everything,) = named(dict.fromkeys(RISKS, 0.5) | {RISKS[-1]: 0.75})
    assert tuple(everything) == (RISKS[-1], *RISKS[: MOST_CATEGORIES - 1])


def test_a_panel_that_tells_no_risks_apart_gives_no_categories() -> None:
    silent = Advice(np.zeros((2, 1), np.float32), np.zeros((2, 1), np.uint8))
    assert categories_of(silent, np.arange(2)) == [{}, {}]


def test_the_categories_are_those_of_the_arrivals_own_rows_and_survive_the_store_bit_for_bit() -> None:
    advice = advice_of({"hate": 0.2}, {"malware": 1 / 3, "hate": 2 / 3}, {"threat": 0.4})
    arrivals = [arrival(1), arrival(2)]
    forecaster = Forecaster.of(zero(PANEL), PERMISSIVE, PANEL)
    pendings = list(decide(arrivals, [2, 1], advice, PANEL, forecaster, PERMISSIVE, 0))
    assert [pending.categories for pending in pendings] == [{"threat": 0.4}, {"hate": 0.6667, "malware": 0.3333}]
    for came, pending in zip(arrivals, pendings, strict=True):
        stored = state.decode_pending(state.encode(pending))
        told = verdict(came.turn, stored, "turns")
        assert told == verdict(came.turn, pending, "turns")
        assert list(told.categories) == list(pending.categories)


@pytest.mark.parametrize("score", [np.nan, 0.0, 0.05])
def test_what_is_no_opinion_or_an_unlikely_one_is_not_a_category(score: float) -> None:
    assert named(dict.fromkeys(RISKS, score)) == [{}]


class ThreatExpert(ConstantExpert):
    """Takes everything for a threat, as likely as it is unsafe."""

    def opine(self, passages: Sequence[Passage]) -> Opinion:
        scores = self.advise(passages)
        risks = np.full((len(scores), len(RISKS)), np.nan, np.float32)
        risks[:, INDEX["threat"]] = scores
        return Opinion(scores, risks)


def test_what_an_expert_says_of_risks_is_in_the_verdicts_of_a_file() -> None:
    panel = Panel([ThreatExpert(0.75), ConstantExpert(0.25, name="plain")])
    try:
        (told,) = OfflineScorer(Settings(), panel, "some.jsonl").score([(0, arrival(0).turn)])
    finally:
        panel.close()
    assert told.categories == {"threat": 0.75}
    assert told.score == 0.5
