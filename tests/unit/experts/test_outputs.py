import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experts.errors import ManifestError, ModelError
from experts.outputs import Outputs
from experts.taxonomy import INDEX, RISKS
from support.trunks import manifest


def outputs(*means: str, outputs: str = "sigmoid") -> Outputs:
    return Outputs(manifest("one", means, outputs=outputs))


def sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def test_the_column_that_means_unsafe_is_the_logit_whatever_the_risks_say() -> None:
    made = outputs("violence", "unsafe", "safe")
    assert made.unsafe(np.array([[9.0, -1.5, 3.0]])).tolist() == [-1.5]


def test_without_such_a_column_the_likeliest_risk_is_the_logit() -> None:
    made = outputs("violence", "none", "threat")
    assert made.unsafe(np.array([[0.5, 9.0, 1.5], [2.0, 9.0, -3.0]])).tolist() == [1.5, 2.0]


def test_of_softmax_columns_the_logit_is_that_of_all_unsafe_ones_against_all_others() -> None:
    made = outputs("safe", "unsafe", "violence", "none", outputs="softmax")
    row = np.array([0.3, 1.2, -0.7, 2.0])
    share = np.exp(row) / np.exp(row).sum()
    unsafe = share[1] + share[2]
    assert made.unsafe(row[None]) == pytest.approx([np.log(unsafe / (1 - unsafe))], abs=1e-6)


def test_softmax_logits_of_any_size_do_not_overflow() -> None:
    made = outputs("safe", "unsafe", outputs="softmax")
    assert made.unsafe(np.array([[-1e30, 1e30], [700.0, -700.0]])).tolist() == [np.float32(2e30), -1400.0]


def test_risks_stand_at_their_place_and_the_others_are_unknown() -> None:
    found = outputs("unsafe", "threat", "malware").risks(np.array([[5.0, 0.4, -2.0]]))
    assert found is not None
    assert found.shape == (1, len(RISKS))
    assert found.dtype == np.float32
    assert found[0, INDEX["threat"]] == pytest.approx(sigmoid(0.4))
    assert found[0, INDEX["malware"]] == pytest.approx(sigmoid(-2.0))
    assert np.isnan(found).sum() == len(RISKS) - 2


def test_two_columns_of_one_risk_give_the_larger_sigmoid_or_the_sum_of_their_shares() -> None:
    row = np.array([[0.4, 1.0, -1.0]])
    by_itself = outputs("threat", "threat", "safe").risks(row)
    together = outputs("threat", "threat", "safe", outputs="softmax").risks(row)
    assert by_itself is not None
    assert together is not None
    assert by_itself[0, INDEX["threat"]] == pytest.approx(sigmoid(1.0))
    assert together[0, INDEX["threat"]] == pytest.approx(np.exp([0.4, 1.0]).sum() / np.exp(row).sum(), abs=1e-6)


def test_a_model_without_risks_tells_none() -> None:
    assert outputs("unsafe").risks(np.zeros((2, 1))) is None
    assert not outputs("unsafe").tells_risks


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_a_column_that_is_no_finite_number_makes_the_logit_nan_on_its_row_alone(wrong: float, kind: str) -> None:
    logits = np.array([[wrong, 0.5], [0.1, 0.2]])
    found = outputs("unsafe", "safe", outputs=kind).unsafe(logits)
    assert np.isnan(found).tolist() == [True, False]


def test_a_column_that_nothing_depends_on_may_be_anything() -> None:
    assert outputs("unsafe", "none").unsafe(np.array([[0.5, np.nan]])).tolist() == [0.5]


@given(arrays(np.float32, (7, 3), elements=st.floats(-50, 50, width=32)))
def test_a_row_gives_the_same_alone_and_among_others(logits: npt.NDArray[np.float32]) -> None:
    made = outputs("safe", "violence", "threat", outputs="softmax")
    alone = np.concatenate([made.unsafe(row[None]) for row in logits])
    assert np.array_equal(made.unsafe(logits), alone)


def test_a_single_column_may_come_without_its_axis() -> None:
    assert outputs("unsafe").columns(np.zeros(4)).shape == (4, 1)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 1)])
def test_columns_that_are_not_those_of_the_labels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="its manifest has 2 labels"):
        outputs("unsafe", "safe").columns(np.zeros(shape))


def test_a_meaning_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ManifestError, match=r"'spam' means 'spam'\): write one of unsafe, safe, none, hate, .*"):
        outputs("unsafe", "spam")


@pytest.mark.parametrize(
    ("means", "kind", "reason"),
    [
        (("safe", "none"), "sigmoid", "means unsafe, or a risk"),
        (("safe",), "softmax", "means unsafe, or a risk"),
        (("unsafe", "threat"), "softmax", "means safe or none"),
    ],
)
def test_labels_that_do_not_tell_unsafe_from_safe_are_refused(means: tuple[str, ...], kind: str, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        outputs(*means, outputs=kind)
