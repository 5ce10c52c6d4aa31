import math

import numpy as np
import pytest

from experts.calibration import Calibration


def test_a_logit_becomes_its_logistic() -> None:
    expected = [1 / (1 + math.exp(-(2 * logit - 1))) for logit in (-3.0, 0.0, 0.5, 4.0)]
    found = Calibration(2.0, -1.0).probabilities(np.array([-3.0, 0.0, 0.5, 4.0], np.float32))
    assert found == pytest.approx(expected, abs=1e-7)
    assert found.dtype == np.float32


def test_the_largest_logits_stay_probabilities() -> None:
    assert Calibration().probabilities(np.array([-1e30, 1e30, -np.inf, np.inf])).tolist() == [0, 1, 0, 1]


def test_an_abstention_stays_one() -> None:
    assert np.isnan(Calibration(3.0, 1.0).probabilities(np.array([np.nan]))).all()


@pytest.mark.parametrize(("scale", "bias"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (1.0, math.inf)])
def test_numbers_that_would_turn_an_expert_around_or_silence_it_are_refused(scale: float, bias: float) -> None:
    with pytest.raises(ValueError, match="positive scale and finite"):
        Calibration(scale, bias)
