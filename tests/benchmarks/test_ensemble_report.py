import numpy as np
import pytest

pytest.importorskip("river", reason="needs the extra `bench`: make setup-test")

from benchmarks.ensemble.__main__ import apart, contestants, measured
from benchmarks.ensemble.contestants import Ewa, MlPol, River, Stream
from benchmarks.ensemble.report import batch_us, ratios, render
from benchmarks.ensemble.results import Results, Run

RUNS = (
    Run("ours", 0, 1000, 0.1, 1000, 0.05, 1.0),
    Run("river", 0, 100, 0.5, 100, 0.1, 1.5),
    Run("ours", 1, 1000, 0.2, 1000, 0.2, 2.0),
    Run("river", 1, 100, 2.0, 100, 0.2, 2.5),
)
RESULTS = Results("2026-11-24", "make it", "a processor", 2, {"river": "0.26.1"}, 5, 1000, 100, 10, 1e-15, RUNS)


def test_ratios_are_taken_within_a_round() -> None:
    assert ratios(RUNS, "ours", lambda run: run.updates_per_s) == pytest.approx([50.0, 100.0])


def test_the_page_gives_medians_extremes_ratios_and_whether_the_goals_were_reached() -> None:
    page = render(RESULTS)
    row = "7,500 (5,000 to 10,000) | 75.0 (50.0 to 100.0) | 12,500 (5,000 to 20,000) | 15.0 (10.0 to 20.0)"
    assert f"| **the ensemble**, four half-lives | {row} |" in page
    assert "50 times river's updates a second: reached in every round, 75.0 (50.0 to 100.0)." in page
    assert batch_us(RESULTS, "ours") == pytest.approx([500.0, 2000.0])
    assert "in 50 µs: **not reached**, 1250 (500 to 2000) µs." in page
    assert "MLpol" not in page.partition("Each is given")[0]


def test_the_ensemble_with_one_half_life_and_ewa_come_to_the_same_weights() -> None:
    assert apart(Stream.random(300, 4), 4) < 1e-12


def test_river_and_ewa_come_to_the_same_weights() -> None:
    stream, river, ewa = Stream.random(50, 3), River(3), Ewa(3)
    river.learn(stream)
    ewa.learn(stream)
    np.testing.assert_allclose(river.model.weights, ewa.weights, rtol=1e-9)


def test_mlpol_gives_its_weight_to_experts_that_were_ahead_of_it() -> None:
    rule = MlPol(2)
    rule.learn(Stream.of(np.array([[1.0, 0.0]]), np.array([1.0])))
    assert rule.weights.tolist() == [1.0, 0.0]


def test_every_contestant_learns_and_forecasts_the_whole_stream() -> None:
    stream = Stream.random(50, 3)
    for key, make in contestants(3, 20, 20).items():
        run = measured(key, make(), stream, 0)
        assert (run.updates, run.forecasts) == (50, 50)
