"""How far annotators agree, against published figures and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from stream.console.review.agreement import agreement

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: four observers, twelve units, five
# values, some missing; his nominal alpha is 0.743.
OBSERVED = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)
SAFE, CAUTION, UNSAFE = range(3)


def test_alpha_is_that_of_krippendorffs_own_example() -> None:
    units = [[value - 1 for value in unit if value is not None] for unit in zip(*OBSERVED, strict=True)]
    found, _ = agreement(units, classes=5)
    assert found.alpha == pytest.approx(0.743, abs=0.0005)
    assert found.turns == 11  # the twelfth has one value


def test_two_annotators_of_many_turns_have_cohens_kappa_but_for_the_small_sample() -> None:
    random = np.random.default_rng(7)
    first = random.integers(0, 3, 20_000)
    second = np.where(random.random(20_000) < 0.7, first, random.integers(0, 3, 20_000))
    found, each = agreement(list(zip(first.tolist(), second.tolist(), strict=True)))
    assert found.alpha == pytest.approx(cohen_kappa_score(first, second), abs=1e-3)
    assert found.same == pytest.approx(float(np.mean(first == second)))
    for label, one in enumerate(each):
        assert one.alpha == pytest.approx(cohen_kappa_score(first == label, second == label), abs=1e-3)


def test_by_class_it_tells_how_often_one_says_what_another_said() -> None:
    turns = [[SAFE, SAFE]] * 6 + [[UNSAFE, UNSAFE]] * 2 + [[SAFE, UNSAFE]] * 2
    found, (safe, caution, unsafe) = agreement(turns)
    assert (found.turns, found.same) == (10, 0.8)
    assert (safe.turns, unsafe.turns) == (8, 4)
    assert [safe.same, unsafe.same] == [pytest.approx(12 / 14), pytest.approx(4 / 6)]
    assert (caution.turns, caution.same, caution.alpha) == (0, None, None)


def test_full_agreement_is_one_and_none_at_all_is_below_chance() -> None:
    assert agreement([[SAFE, SAFE], [UNSAFE, UNSAFE]])[0].alpha == 1.0
    opposed = agreement([[SAFE, UNSAFE]] * 5)[0].alpha
    assert opposed is not None
    assert opposed < 0.0


def test_where_one_class_alone_was_said_there_is_no_chance_to_compare_with() -> None:
    found, each = agreement([[SAFE, SAFE, SAFE]] * 4)
    assert (found.same, found.alpha) == (1.0, None)
    assert all(one.alpha is None for one in each)
    assert agreement([[SAFE], []])[0].turns == 0


def test_the_order_of_votes_and_turns_does_not_matter() -> None:
    turns = [[SAFE, SAFE, UNSAFE], [CAUTION, UNSAFE], [SAFE, CAUTION]]
    assert agreement(turns)[0].alpha == pytest.approx(agreement([turn[::-1] for turn in turns[::-1]])[0].alpha)
