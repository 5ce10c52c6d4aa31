"""From scores to the report: which rows count for whom, what the ensemble's lead is, and how groups are measured."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ensemble import DEFENSIVE, PERMISSIVE
from experts.base import Passage
from stream.evaluation.data import SAFE, UNSAFE, Row
from stream.evaluation.measuring import place, thresholds_of
from stream.evaluation.online import Adapted, Labelling, adapt
from stream.evaluation.results import ENSEMBLE, MEAN, Options, Place
from stream.evaluation.scoring import Scored

OPTIONS = Options(
    policy="permissive", thresholds=(0.4, 0.5), main_threshold=0.4, after=100, delay=0, label_rate=1.0, seed=0,
    resamples=200, shuffle=None, limit=None,
)  # fmt: skip
RNG = np.random.default_rng(3)
TRUTH = RNG.random(300) < 0.3
SCORES = np.stack([np.clip(RNG.normal(0.35 + 0.3 * TRUTH, 0.2), 0, 1), RNG.random(300)], axis=1).astype(np.float32)
SCORES[::4, 1] = np.nan


def rows_of(truth: np.ndarray, categories: tuple[str, ...] = (), attack: str | None = None) -> tuple[Row, ...]:
    return tuple(
        Row(Passage("user", str(number)), UNSAFE if unsafe else SAFE, categories, attack)
        for number, unsafe in enumerate(truth)
    )


def measured(scored: Scored, options: Options = OPTIONS) -> tuple[Place, Adapted]:
    adapted = adapt(scored, PERMISSIVE, Labelling())
    return place("some", scored, adapted, PERMISSIVE, options, by_group=True), adapted


@pytest.fixture(scope="module")
def found() -> tuple[Place, Adapted]:
    return measured(Scored(("good@1", "lots@1"), rows_of(TRUTH), SCORES))


def test_every_scorers_figures_are_those_of_scikit_learn_on_the_rows_on_which_it_was_awake(
    found: tuple[Place, Adapted],
) -> None:
    told, adapted = found
    assert [scorer.name for scorer in told.scorers] == ["good@1", "lots@1", MEAN, ENSEMBLE]
    columns = (SCORES[:, 0], SCORES[:, 1], np.nanmean(SCORES.astype(float), axis=1), adapted.scores)
    for scorer, scores in zip(told.scorers, columns, strict=True):
        heard = np.isfinite(scores)
        figures = scorer.figures
        assert (figures.rows, figures.asleep) == (heard.sum(), (~heard).sum())
        assert figures.unsafe == TRUTH[heard].sum()
        assert figures.auprc.value == pytest.approx(average_precision_score(TRUTH[heard], scores[heard]), abs=1e-6)
        assert figures.auroc.value == pytest.approx(roc_auc_score(TRUTH[heard], scores[heard]), abs=1e-6)
        assert figures.at[0].false_positive_rate.value == pytest.approx(
            (scores[heard & ~TRUTH] >= 0.4).mean(), abs=1e-6
        )
        for estimate in (figures.auprc, figures.auroc, figures.at[0].f1):
            assert estimate.value is not None
            assert estimate.low is not None
            assert estimate.high is not None
            assert estimate.low < estimate.value < estimate.high


def test_the_rest_is_the_same_rows_for_every_scorer(found: tuple[Place, Adapted]) -> None:
    told, adapted = found
    assert told.rest == 200
    for scorer in told.scorers:
        assert scorer.rest is not None
        assert scorer.rest.rows + scorer.rest.asleep == 200
    ensemble = told.scorers[-1].rest
    assert ensemble is not None
    assert ensemble.auprc.value == pytest.approx(average_precision_score(TRUTH[100:], adapted.scores[100:]), abs=1e-6)


def test_the_lead_compares_the_ensemble_with_a_scorer_on_the_rows_that_the_scorer_read(
    found: tuple[Place, Adapted],
) -> None:
    told, adapted = found
    heard = np.isfinite(SCORES[:, 1])
    lead = told.scorers[1].lead
    expected = average_precision_score(TRUTH[heard], adapted.scores[heard]) - average_precision_score(
        TRUTH[heard], SCORES[heard, 1]
    )
    assert lead.value == pytest.approx(expected, abs=1e-6)
    assert lead.low is not None
    assert lead.low > 0.1
    own = told.scorers[-1].lead
    assert (own.value, own.low, own.high) == (0.0, 0.0, 0.0)


def test_paired_resamples_make_a_small_lead_certain() -> None:
    """The second expert is the first with a little noise: each has a wide interval, their difference a narrow one."""
    close = np.stack([SCORES[:, 0], np.clip(SCORES[:, 0] + RNG.normal(0, 0.01, 300), 0, 1)], axis=1)
    told, _ = measured(Scored(("a@1", "b@1"), rows_of(TRUTH), close.astype(np.float32)))
    auprc, lead = told.scorers[0].figures.auprc, told.scorers[0].lead
    assert auprc.low is not None
    assert auprc.high is not None
    assert lead.low is not None
    assert lead.high is not None
    assert lead.high - lead.low < (auprc.high - auprc.low) / 10


def test_before_enough_labels_came_there_is_no_rest() -> None:
    told, _ = measured(Scored(("good@1", "lots@1"), rows_of(TRUTH[:50]), SCORES[:50]))
    assert told.rest == 0
    assert all(scorer.rest is None and scorer.rest_lead is None for scorer in told.scorers)


@pytest.mark.parametrize("unsafe", [True, False])
def test_of_rows_of_one_class_the_areas_are_null_and_the_rates_of_that_class_are_not(unsafe: bool) -> None:
    told, _ = measured(Scored(("good@1", "lots@1"), rows_of(np.full(300, unsafe)), SCORES))
    figures = told.scorers[-1].figures
    assert figures.auprc.value is figures.auroc.value is told.scorers[0].lead.value is None
    assert (figures.at[0].recall.value is None) == (not unsafe)
    assert (figures.at[0].false_positive_rate.value is None) == unsafe


def test_a_categorys_unsafe_rows_are_set_against_every_safe_row() -> None:
    mine = np.zeros(300, bool)
    mine[:100] = True
    marked = [rows_of(TRUTH, ("Threat",)), rows_of(TRUTH)]
    rows = tuple(marked[0][n] if mine[n] else marked[1][n] for n in range(300))
    told, adapted = measured(Scored(("good@1", "lots@1"), rows, SCORES))
    (group,) = told.categories
    assert (group.name, group.rows, group.unsafe) == ("Threat", 100, TRUTH[:100].sum())
    figures = {scorer.name: scorer.figures for scorer in group.scorers}[ENSEMBLE]
    against = (mine & TRUTH) | ~TRUTH
    assert figures.auroc.value == pytest.approx(roc_auc_score(TRUTH[against], adapted.scores[against]), abs=1e-6)
    assert figures.at[0].recall.value == pytest.approx((adapted.scores[mine & TRUTH] >= 0.4).mean(), abs=1e-6)
    assert figures.at[0].false_positive_rate.value == pytest.approx(
        (adapted.scores[mine & ~TRUTH] >= 0.4).mean(), abs=1e-6
    )


def test_an_attacks_rows_stand_for_themselves_the_largest_group_first() -> None:
    vanilla, attacked = rows_of(TRUTH, attack="vanilla"), rows_of(TRUTH, attack="adversarial")
    rows = vanilla[:120] + attacked[120:]
    told, adapted = measured(Scored(("good@1", "lots@1"), rows, SCORES))
    assert [(group.name, group.rows) for group in told.attacks] == [("adversarial", 180), ("vanilla", 120)]
    figures = {scorer.name: scorer.figures for scorer in told.attacks[1].scorers}[ENSEMBLE]
    assert figures.auprc.value == pytest.approx(average_precision_score(TRUTH[:120], adapted.scores[:120]), abs=1e-6)
    assert told.categories == ()


def test_the_policys_threshold_is_where_it_flags_what_it_counts_as_unsafe() -> None:
    assert thresholds_of(PERMISSIVE) == ((0.5,), 0.5)
    assert thresholds_of(DEFENSIVE) == ((0.35, 0.5), 0.35)
    assert thresholds_of(DEFENSIVE, (0.7, 0.2)) == ((0.2, 0.5, 0.7), 0.7)


def test_what_each_context_learned_is_told_with_its_bound(found: tuple[Place, Adapted]) -> None:
    (context,) = found[0].contexts
    assert (context.role, context.labels, context.alarm) == ("user", 300, False)
    assert sum(expert.weight for expert in context.experts) == pytest.approx(1.0, abs=1e-5)
    assert all(expert.bound is not None and expert.regret <= expert.bound for expert in context.experts)
