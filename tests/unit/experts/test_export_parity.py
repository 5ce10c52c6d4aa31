"""When an export is refused, on numbers made up for it."""

import numpy as np
import numpy.typing as npt
import pytest

from experts.errors import ExportError
from experts.export.calibrating import calibrated
from experts.export.parity import MOST_SHIFT, TOLERANCE, Precision, compared
from experts.export.wish import Labelled
from experts.outputs import Outputs
from support.trunks import manifest

LOGITS = np.random.default_rng(3).normal(size=(40, 2)).astype(np.float32)


def outputs() -> Outputs:
    return Outputs(manifest("x", ("unsafe", "hate")))


@pytest.mark.parametrize("precision", TOLERANCE)
def test_an_export_within_its_tolerance_is_reported_with_its_largest_difference(precision: Precision) -> None:
    served = LOGITS.copy()
    served[7, 1] += 0.9 * TOLERANCE[precision]
    found = compared(precision, outputs(), served, LOGITS, LOGITS)
    assert found.logits == pytest.approx(0.9 * TOLERANCE[precision], rel=0.01)
    assert found.texts == 40


@pytest.mark.parametrize("precision", TOLERANCE)
def test_one_logit_over_the_tolerance_refuses_the_export(precision: Precision) -> None:
    served = LOGITS.copy()
    served[7, 1] += 1.1 * TOLERANCE[precision]
    with pytest.raises(ExportError, match=rf"differs from PyTorch .*{precision} allows"):
        compared(precision, outputs(), served, LOGITS, LOGITS)


def test_rounded_weights_that_move_a_probability_too_far_refuse_the_export() -> None:
    original = LOGITS.copy()
    original[3, 0] += 1.0
    with pytest.raises(ExportError, match=rf"moves the probability .*allowed are {MOST_SHIFT}.*--precision fp32"):
        compared("int8-stored", outputs(), LOGITS, LOGITS, original)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_export_that_gives_no_number_is_refused_with_how_often(value: float) -> None:
    served = LOGITS.copy()
    served[[2, 5], 0] = value
    with pytest.raises(ExportError, match="NaN or infinity on 2 of 40 texts"):
        compared("fp32", outputs(), served, LOGITS, LOGITS)


def turns(unsafe: npt.NDArray[np.bool_]) -> Labelled:
    return Labelled("turns", [], unsafe)


def test_calibration_finds_the_line_that_was_drawn_at_the_base_rate() -> None:
    draws = np.random.default_rng(11)
    logits = draws.normal(size=40_000).astype(np.float32)
    unsafe = draws.random(40_000) < 1 / (1 + np.exp(-(2.0 * logits - 1.0)))
    calibration, worth = calibrated(logits, turns(unsafe))
    assert calibration.scale == pytest.approx(2.0, abs=0.1)
    moved = np.log(0.2 / 0.8) - np.log(unsafe.mean() / (1 - unsafe.mean()))
    assert calibration.bias == pytest.approx(-1.0 + moved, abs=0.1)
    assert (worth.rows, worth.unsafe) == (40_000, int(unsafe.sum()))


def test_turns_that_the_expert_sleeps_on_are_left_out_of_its_calibration() -> None:
    unsafe = np.arange(100) % 2 == 0
    logits = np.where(unsafe, 1.0, -1.0).astype(np.float32) + np.random.default_rng(1).normal(size=100).astype(
        np.float32
    )
    logits[:50] = np.nan
    assert calibrated(logits, turns(unsafe))[1].rows == 50


def test_too_few_turns_of_a_class_are_refused_with_their_number() -> None:
    unsafe = np.arange(100) < 9
    with pytest.raises(ExportError, match=r"turns has 9 unsafe and 91 safe turns .*at least 10"):
        calibrated(np.arange(100, dtype=np.float32), turns(unsafe))


def test_labels_the_wrong_way_round_are_refused() -> None:
    unsafe = np.arange(100) < 50
    with pytest.raises(ExportError, match=r"score lower than safe ones \(AUROC 0\.00\).*label map"):
        calibrated(np.arange(100, dtype=np.float32), turns(unsafe))
