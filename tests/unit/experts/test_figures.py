"""The figures against scikit-learn, and the intervals against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from experts.figures import TOGETHER, figures, interval, resamples

RNG = np.random.default_rng(7)
UNSAFE = RNG.random(400) < 0.3
SCORES = np.clip(RNG.normal(0.3 + 0.25 * UNSAFE, 0.2), 0.0, 1.0)
TIED = np.round(SCORES, 1)


@pytest.mark.parametrize("scores", [SCORES, TIED], ids=["distinct", "tied"])
def test_the_figures_are_those_of_scikit_learn(scores: np.ndarray) -> None:
    found = figures(scores, UNSAFE, (0.4, 0.5))
    assert found.auprc.item() == pytest.approx(average_precision_score(UNSAFE, scores), abs=1e-12)
    assert found.auroc.item() == pytest.approx(roc_auc_score(UNSAFE, scores), abs=1e-12)
    for row, threshold in enumerate((0.4, 0.5)):
        flagged = scores >= threshold
        assert found.f1[row].item() == pytest.approx(f1_score(UNSAFE, flagged), abs=1e-12)
        assert found.recall[row].item() == pytest.approx(recall_score(UNSAFE, flagged), abs=1e-12)
        assert found.false_positive_rate[row].item() == pytest.approx(flagged[~UNSAFE].mean(), abs=1e-12)


@pytest.mark.parametrize("scores", [SCORES, TIED], ids=["distinct", "tied"])
def test_a_resample_has_the_figures_of_the_rows_that_it_repeats(scores: np.ndarray) -> None:
    counts = resamples(len(scores), TOGETHER + 5, seed=3)
    found = figures(scores, UNSAFE, (0.5,), counts)
    for column in (0, TOGETHER - 1, TOGETHER, TOGETHER + 4):
        drawn = np.repeat(np.arange(len(scores)), counts[:, column])
        alone = figures(scores[drawn], UNSAFE[drawn], (0.5,))
        assert found.auprc[column] == pytest.approx(average_precision_score(UNSAFE[drawn], scores[drawn]), abs=1e-6)
        for name in ("auprc", "auroc"):
            assert getattr(found, name)[column] == pytest.approx(getattr(alone, name).item(), abs=1e-6)
        for name in ("f1", "recall", "false_positive_rate"):
            assert getattr(found, name)[0, column] == pytest.approx(getattr(alone, name).item(), abs=1e-6)


def test_a_resample_draws_as_many_rows_as_there_are_and_a_seed_gives_the_same_ones() -> None:
    counts = resamples(50, 100, seed=1)
    assert (counts.sum(axis=0) == 50).all()
    assert (counts == resamples(50, 100, seed=1)).all()
    assert (counts != resamples(50, 100, seed=2)).any()
    assert counts.mean(axis=1).std() < 0.25  # every row is as likely as any other


def test_the_interval_of_a_share_is_about_that_of_the_binomial_distribution() -> None:
    flagged = np.arange(1000) < 300
    low, high = interval(
        figures(flagged, np.zeros(1000, bool), (0.5,), resamples(1000, 2000, 0)).false_positive_rate[0]
    )
    wide = 1.96 * (0.3 * 0.7 / 1000) ** 0.5
    assert low == pytest.approx(0.3 - wide, abs=0.004)
    assert high == pytest.approx(0.3 + wide, abs=0.004)


def test_intervals_hold_the_true_value_about_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(5), 0
    for seed in range(200):
        unsafe = np.arange(300) < 150
        low, high = interval(figures(rng.normal(unsafe, 1.0), unsafe, (), resamples(300, 300, seed)).auroc)
        held += low <= 0.7602 <= high  # Phi(1 / sqrt(2))
    assert 0.90 <= held / 200 <= 0.99


@pytest.mark.parametrize(("unsafe", "defined"), [(False, "false_positive_rate"), (True, "recall")])
def test_of_one_class_only_the_areas_are_undefined_and_the_rate_of_that_class_is_not(
    unsafe: bool, defined: str
) -> None:
    found = figures([0.2, 0.9], [unsafe, unsafe], (0.5,))
    assert np.isnan([found.auprc.item(), found.auroc.item()]).all()
    assert getattr(found, defined).item() == 0.5
    other = "recall" if defined == "false_positive_rate" else "false_positive_rate"
    assert np.isnan(getattr(found, other).item())


def test_of_no_rows_everything_is_undefined() -> None:
    found = figures([], [], (0.5,), resamples(0, 10, 0))
    assert np.isnan(found.auprc).all()
    assert np.isnan(found.f1).all()
    assert np.isnan(interval(found.auroc)).all()


def test_a_figure_that_most_resamples_do_not_define_has_no_interval() -> None:
    assert np.isnan(interval(np.array([0.5, np.nan, np.nan]))).all()
    assert interval(np.array([0.5, 0.5, np.nan])) == (0.5, 0.5)


@pytest.mark.parametrize("scores", [[np.nan, 0.5], [0.1, 0.2, 0.3], [[0.1, 0.2]]], ids=["nan", "long", "table"])
def test_scores_without_a_figure_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="score"):
        figures(scores, [True, False])
