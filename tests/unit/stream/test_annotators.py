"""Counts of annotators and their agreement with the others."""

from __future__ import annotations

import pytest

from ensemble.votes import Vote
from stream.annotators import Tallies, wilson


def votes(**said: int) -> dict[str, Vote]:
    return {name: Vote(label, 0) for name, label in said.items()}


def test_agreement_is_with_the_majority_of_the_others_on_turns_that_have_some() -> None:
    found = Tallies()
    found.add("t", votes(ann=2), {})
    found.add("t", votes(ann=2, bob=2, cy=0), {"cy": 1})
    found.add("t", votes(ann=0, bob=2), {})
    found.add("u", votes(ann=0), {})
    found.add("t", {}, {"mallory": 2})
    rows = {(tenant, name): (share, tally) for tenant, name, share, tally in found.rows()}
    share, ann = rows["t", "ann"]
    assert (share, ann.votes, ann.alone, ann.shared, ann.agreed) == (0.5, 3, 1, 2, 1)  # of bob and cy, the severer
    _, cy = rows["t", "cy"]
    assert (cy.votes, cy.agreed, cy.aside) == (1, 0, 1)
    _, mallory = rows["t", "mallory"]
    assert (mallory.votes, mallory.aside, mallory.agreement) == (0, 2, None)
    assert [name for _, name, _, _ in found.rows("t")] == ["ann", "bob", "cy", "mallory"]
    assert [row[0] for row in found.rows("u")] == ["u"]


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"), [(10, 10, 0.722, 1.0), (0, 10, 0.0, 0.278), (50, 100, 0.404, 0.596)]
)
def test_the_interval_is_wilsons(hits: int, trials: int, low: float, high: float) -> None:
    assert wilson(hits, trials) == pytest.approx((hits / trials, low, high), abs=1e-3)


def test_a_hundred_thousand_annotators_are_counted() -> None:
    found = Tallies()
    for number in range(100_000):
        found.add("t", {f"annotator-{number}": Vote(2, 0), "ann": Vote(2, 0)}, {})
    assert len(found.rows()) == 100_001
    assert found.rows()[0][3].agreed == 100_000
