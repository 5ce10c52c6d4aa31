"""The ensemble over a stream of labelled rows: what it has read when, and what that is worth."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble import DEFENSIVE, PERMISSIVE, Forecast, Forecaster, Rounds, fold, zero
from experts.base import Passage
from experts.figures import figures
from stream.evaluation.data import CAUTION, SAFE, UNSAFE, Row
from stream.evaluation.online import TURN_SECONDS, Labelling, adapt
from stream.evaluation.scoring import Scored

NAN = float("nan")


def scored_of(scores: np.ndarray, labels: np.ndarray | list[int], roles: tuple[str, ...] = ("user",)) -> Scored:
    rows = tuple(Row(Passage(roles[n % len(roles)], str(n)), int(label)) for n, label in enumerate(labels))
    return Scored(tuple(f"e{k}@1" for k in range(scores.shape[1])), rows, scores.astype(np.float32))


def noisy(count: int, experts: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(scores, labels): the first expert is good, the others draw lots."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(count) < 0.4, UNSAFE, SAFE)
    scores = rng.random((count, experts))
    scores[:, 0] = np.clip(rng.normal(0.3 + 0.4 * (labels == UNSAFE), 0.15), 0, 1)
    return scores, labels


@pytest.mark.parametrize("delay", [0, 3])
def test_every_row_is_forecast_from_exactly_the_labels_that_had_come(delay: int) -> None:
    scores, labels = noisy(30, 3)
    scored = scored_of(scores, labels)
    found = adapt(scored, PERMISSIVE, Labelling(delay=delay))
    advice, awake = scored.scores.astype(float), scored.awake
    moments = zero(scored.experts)
    said: list[tuple[Forecast, float]] = []
    for row in range(30):
        if (came := row - 1 - delay) >= 0:
            forecast, used = said[came]
            moments = fold(
                moments,
                Rounds.of(
                    advice[came : came + 1], awake[came : came + 1], forecast.forecasts, forecast.published,
                    [labels[came]], [came * TURN_SECONDS], used=used,
                ),
            )  # fmt: skip
        forecaster = Forecaster.of(moments, PERMISSIVE, scored.experts)
        said.append((forecaster.forecast(advice[row : row + 1], awake[row : row + 1]), forecaster.used))
        assert found.scores[row] == said[row][0].published[0]
        assert found.read[row] == max(0, came + 1)


def test_the_label_of_a_row_changes_no_forecast_that_was_made_before_it_came() -> None:
    scores, labels = noisy(60, 3)
    changed = labels.copy()
    changed[20] = UNSAFE - labels[20]
    (one, other) = (adapt(scored_of(scores, told), PERMISSIVE, Labelling(delay=5)).scores for told in (labels, changed))
    assert (one[:26] == other[:26]).all()
    assert (one[26:] != other[26:]).all()


def test_the_adapted_ensemble_beats_the_plain_mean_when_one_expert_is_good_and_the_others_are_noise() -> None:
    scores, labels = noisy(800, 5)
    scored = scored_of(scores, labels)
    adapted = adapt(scored, PERMISSIVE, Labelling(delay=10))
    unsafe = scored.unsafe(PERMISSIVE)
    ours, mean, best = (figures(one, unsafe).auprc.item() for one in (adapted.scores, scored.mean, scored.scores[:, 0]))
    assert ours > mean + 0.05
    assert ours > best - 0.01
    (end,) = [standings[-1] for standings in adapted.contexts.values()]
    assert end.weights[0] > 0.99
    assert (end.regret <= end.bounds).all()
    assert not end.alarm


def test_without_labels_the_ensemble_says_the_plain_mean_of_those_awake() -> None:
    scores, labels = noisy(50, 4)
    scores[::3, 1] = NAN
    scored = scored_of(scores, labels)
    assert adapt(scored, PERMISSIVE, Labelling(rate=0.0)).scores == pytest.approx(scored.mean, abs=1e-12)


def test_labels_come_for_the_share_asked_for_and_the_same_ones_for_a_seed() -> None:
    scores, labels = noisy(400, 2)
    scored = scored_of(scores, labels)
    found = adapt(scored, PERMISSIVE, Labelling(delay=100, rate=0.5, seed=1))
    assert found.read[:101].tolist() == [0.0] * 101
    assert 100 <= found.read[-1] <= 200
    assert (
        sum(standings[-1].labels for standings in found.contexts.values())
        == Labelling(rate=0.5, seed=1).chosen(400).sum()
    )
    again = adapt(scored, PERMISSIVE, Labelling(delay=100, rate=0.5, seed=1))
    assert (found.scores == again.scores).all()


def test_each_role_learns_on_its_own() -> None:
    scores, labels = noisy(400, 2)
    scores[1::2] = scores[1::2, ::-1]  # the good expert of users is noise on assistants
    found = adapt(scored_of(scores, labels, ("user", "assistant")), PERMISSIVE, Labelling())
    assert found.contexts["user"][-1].weights[0] > 0.9
    assert found.contexts["assistant"][-1].weights[1] > 0.9
    assert [found.contexts[role][-1].labels for role in ("user", "assistant")] == [200, 200]


def test_where_nobody_is_awake_there_is_no_score_and_nothing_is_learned() -> None:
    scores, labels = noisy(20, 2)
    scores[4] = NAN
    scored = scored_of(scores, labels)
    found = adapt(scored, PERMISSIVE, Labelling())
    assert np.isnan(found.scores).tolist() == np.isnan(scored.mean).tolist() == [row == 4 for row in range(20)]
    assert found.contexts["user"][-1].labels == 19


def test_what_is_kept_on_the_way_begins_with_equal_weights_and_its_labels_grow() -> None:
    scores, labels = noisy(300, 3)
    (standings,) = adapt(scored_of(scores, labels), PERMISSIVE, Labelling()).contexts.values()
    assert standings[0].labels == 0
    assert standings[0].weights == pytest.approx([1 / 3] * 3)
    counts = [standing.labels for standing in standings]
    assert counts == sorted(counts)
    assert counts[-1] == 300
    assert len(counts) >= 100


def test_needs_caution_is_what_the_policy_says() -> None:
    scored = scored_of(np.full((3, 1), 0.5), [SAFE, CAUTION, UNSAFE])
    assert scored.unsafe(PERMISSIVE).tolist() == [False, False, True]
    assert scored.unsafe(DEFENSIVE).tolist() == [False, True, True]
