from pathlib import Path

import click
import numpy as np
import pytest

from benchmarks.guard import Contestant, page, race, refuse_apart, verdict
from benchmarks.guard_model import PLANS, Plan, write_model
from experts.guard import GuardSession

REASON = "needs the extra `train`: make setup-train"
RESULTS = {
    "command": "python -m benchmarks.guard",
    "day": "2026-11-24",
    "machine": "a processor, 2 cores",
    "device": "cpu",
    "onnxruntime": "1.31.1",
    "shape": "small",
    "parameters": 45_000_000,
    "precision": "fp32",
    "instruction": 400,
    "tokens": 60,
    "turns": 32,
    "reading_s": 0.5,
    "rates": {"cached": [20.0, 24.0, 22.0], "uncached": [4.0, 4.0, 4.0]},
    "ratios": [5.0, 6.0, 5.5],
}


def test_the_page_gives_medians_extremes_and_the_ratio_within_a_round() -> None:
    text = page(RESULTS)
    assert "| once | 22.0 (20.0 to 24.0) |" in text
    assert "| with every turn | 4.0 (4.0 to 4.0) |" in text
    assert "Ratio within a round: 5.5 (5.0 to 6.0)." in text
    assert "reached in every round" in text


def test_a_goal_is_reached_in_every_round_by_the_median_or_not() -> None:
    assert verdict([4.0, 5.0]) == "reached in every round"
    assert verdict([3.0, 4.5, 5.0]) == "reached by the median, not in every round"
    assert verdict([3.0, 3.5, 5.0]) == "**not reached**"


def test_guards_that_say_different_things_are_not_compared() -> None:
    with pytest.raises(click.ClickException, match="differ by"):
        refuse_apart(np.zeros((1, 2), np.float32), np.full((1, 2), np.nan, np.float32), "fp32")


@pytest.mark.parametrize(("shape", "billions"), [("7b", 6.74), ("8b", 8.03)])
def test_a_plan_has_as_many_parameters_as_the_model_that_it_is_named_for(shape: str, billions: float) -> None:
    assert PLANS[shape].parameters() / 1e9 == pytest.approx(billions, abs=0.01)


@pytest.mark.train
def test_both_guards_run_in_every_round_and_agree(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason=REASON)
    files = write_model(tmp_path, Plan(layers=2, width=32, inner=48, heads=4, groups=2, vocabulary=100), "fp32")
    said, own = np.arange(40), [np.arange(5, 12), np.arange(60, 67)]
    session = GuardSession(files, [said.tolist(), []], "a small guard", "cpu")
    contestants = {"cached": Contestant(own, 0), "uncached": Contestant([np.append(said, row) for row in own], 1)}
    rates = race(session, contestants, 2, "fp32")
    assert {name: len(found) for name, found in rates.items()} == {"cached": 2, "uncached": 2}
