import numpy as np
import pytest

pytest.importorskip("river", reason="needs the extra `bench`: make setup-test")

from benchmarks.streams.courses import drifting, shuffled
from benchmarks.streams.measuring import losses, settled, stretches
from benchmarks.streams.plots import excess
from benchmarks.streams.report import near, render
from benchmarks.streams.results import Outcome, Results, Stretch
from benchmarks.streams.rules import Setting, best_mixture, ensemble, forgetful, labelled, river
from benchmarks.streams.scores import Scores, label_of
from experts.base import Passage
from stream.evaluation.data import CAUTION, SAFE, UNSAFE, Row


def found(rows: int = 120, experts: int = 3, seed: int = 0) -> Scores:
    """Made-up scores; the last expert sleeps on everything but replies."""
    chance = np.random.default_rng(seed)
    role = np.array(["user", "assistant", "user"] * (rows // 3))
    source = np.array(["aegis2_validation", "aegis2_validation", "hatecheck"] * (rows // 3))
    scores = chance.random((rows, experts))
    scores[role == "user", -1] = np.nan
    names = np.array([f"expert{number}@1" for number in range(experts)])
    return Scores(names, scores, chance.integers(0, 3, rows).astype(np.uint8), role, source)


@pytest.mark.parametrize(
    ("label", "categories", "expected"),
    [
        (SAFE, ("Needs Caution",), CAUTION),
        (SAFE, ("Violence",), SAFE),
        (UNSAFE, ("Needs Caution", "Violence"), UNSAFE),
    ],
)
def test_only_a_row_that_its_set_calls_safe_can_need_caution(
    label: int, categories: tuple[str, ...], expected: int
) -> None:
    assert label_of(Row(Passage("user", "x"), label, categories)) == expected


def test_a_drifting_stream_has_every_row_once_and_its_phases_in_order() -> None:
    course = drifting(found(), seed=1)
    assert [phase.name for phase in course.phases] == ["users", "users, defensive", "replies", "hatecheck"]
    assert [phase.stop - phase.start for phase in course.phases] == [20, 20, 40, 40]
    assert sorted(course.label.tolist()) == sorted(found().label.tolist())
    assert set(course.role[course.phases[2].rows]) == {"assistant"}
    assert course.awake[course.phases[2].rows].all()


def test_needs_caution_is_unsafe_from_the_switch_of_policy_on() -> None:
    course = drifting(found(), seed=1)
    before, after = course.phases[0].rows, course.phases[1].rows
    assert (course.target[before] == (course.label[before] == 2)).all()
    assert (course.target[after] == (course.label[after] >= 1)).all()


def test_a_long_stream_has_as_many_turns_of_each_phase_as_asked_for() -> None:
    course = drifting(found(), seed=1, turns=77)
    assert [phase.stop for phase in course.phases] == [77, 154, 231, 308]


def test_a_phase_is_measured_from_the_turn_after_so_many_of_its_own_labels() -> None:
    course = drifting(found(), seed=1)
    comes = np.zeros(120, np.bool_)
    comes[[0, 5, 21, 30, 35]] = True
    assert settled(comes, course.phases[0], 2) == slice(6, 20)
    assert settled(comes, course.phases[1], 3) == slice(36, 40)
    assert settled(comes, course.phases[2], 1) == slice(80, 80)


def test_a_stretch_compares_with_the_expert_that_is_best_over_the_same_turns() -> None:
    course = drifting(found(), seed=2)
    comes = np.ones(120, np.bool_)
    ours = np.full(120, 0.5)
    for phase, told in zip(course.phases, stretches(course, comes, ours, 10), strict=True):
        rows = slice(phase.start + 10, phase.stop)
        means = [float(np.mean((course.scores[rows, k] - course.target[rows]) ** 2)) for k in range(3)]
        awake = [mean for mean in means if np.isfinite(mean)]
        assert told.best_loss == pytest.approx(min(awake))
        assert told.loss == pytest.approx(0.25)
        assert told.excess == pytest.approx(0.25 / min(awake) - 1.0)


def test_an_expert_that_sleeps_in_a_phase_has_no_loss_there() -> None:
    course = drifting(found(), seed=2)
    told = list(stretches(course, np.ones(120, np.bool_), course.scores[:, 2], 0))
    assert [stretch.loss is None for stretch in told] == [True, True, False, True]


def test_the_best_mixture_is_at_least_as_good_as_any_other() -> None:
    chance = np.random.default_rng(3)
    target = (chance.random(200) < 0.4).astype(np.float64)
    advice = np.clip(target[:, None] * 0.5 + chance.random((200, 4)) * 0.5, 0, 1)
    best = best_mixture(advice, target)
    assert best.sum() == pytest.approx(1.0)
    assert (best >= 0.0).all()
    least = np.mean((advice @ best - target) ** 2)
    for other in [*np.eye(4), *chance.dirichlet(np.ones(4), 500)]:
        assert least <= np.mean((advice @ other - target) ** 2) + 1e-12


def test_the_best_mixture_of_an_expert_and_its_mirror_is_the_mean_of_both() -> None:
    advice = np.array([[0.0, 1.0], [1.0, 0.0]] * 3)
    assert best_mixture(advice, np.full(6, 0.5)) == pytest.approx([0.5, 0.5])


def test_without_labels_the_ensemble_says_the_plain_mean_throughout() -> None:
    course = drifting(found(), seed=4)
    told = ensemble(course, np.zeros(120, np.bool_), 1.0, Setting(5.0))
    np.testing.assert_allclose(told.scores, course.mean)


@pytest.mark.parametrize("by_role", [False, True])
def test_no_label_changes_what_was_said_before_it(by_role: bool) -> None:
    course = drifting(found(), seed=4)
    every, early = np.ones(120, np.bool_), np.arange(120) < 60
    whole, half = (ensemble(course, comes, 1.0, Setting(5.0, by_role=by_role)).scores for comes in (every, early))
    assert np.array_equal(whole[:61], half[:61])
    assert not np.allclose(whole[61:], half[61:])


def test_the_ensemble_with_one_half_life_says_what_river_says_where_nobody_sleeps() -> None:
    whole = found()
    course = shuffled(Scores(whole.experts[:2], whole.scores[:, :2], whole.label, whole.role, whole.source), 5)
    comes = labelled(120, 0.5, 5)
    comes[0] = True  # before its first label river's weights sum to K
    ours = ensemble(course, comes, 1.0, Setting(5.0, (np.inf,))).scores
    np.testing.assert_allclose(ours[1:], river(course, comes, 1.0)[1:], rtol=1e-9)


def test_half_lives_weighed_by_losses_that_never_decay_are_what_is_published() -> None:
    course = shuffled(found(), 6)
    comes = np.ones(120, np.bool_)
    told = ensemble(course, comes, 1.0, Setting(5.0))
    np.testing.assert_allclose(forgetful(course, comes, 1.0, told, 5.0, np.inf), told.scores)


def test_the_excess_of_the_best_expert_of_a_single_phase_is_nothing() -> None:
    course = shuffled(found(), 7)
    best = int(losses(course, course.scores[:, :2]).mean(axis=0).argmin())
    assert excess(course, course.scores[:, best]) == pytest.approx(np.zeros(120))


def test_the_page_gives_medians_extremes_and_whether_the_goal_was_reached() -> None:
    def outcome(seed: int, loss: float) -> Outcome:
        parts = (Stretch("users", 50, loss, "a@1", 0.2), Stretch("replies", 0))
        return Outcome("drifting", 1.0, seed, "ensemble", 100, loss, 0.9, parts)

    results = Results(
        "2026-11-24", "make it", {"river": "0.26.1"}, ("a@1",), {"set": 100}, 7, 5.0, 200, 300,
        (outcome(0, 0.201), outcome(1, 0.211)),
    )  # fmt: skip
    page = render(results, [0, 1], "it.png")
    assert "| 1 | **ensemble** | 0.2060 (0.2010 to 0.2110) | 0.900 | +3.0% (+0.5% to +5.5%) | – |" in page
    assert "label rate 1: users reached for 1 of 2 seeds." in page
    assert "(it.png)" in page


def test_a_goal_is_reached_by_all_seeds_by_some_or_by_none() -> None:
    assert near([0.005, -0.1]) == "reached for every seed"
    assert near([0.005, 0.1]) == "reached for 1 of 2 seeds"
    assert near([0.02]) == "**not reached**"
