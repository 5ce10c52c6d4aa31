"""Calibration on held-out rows and the figures of a card. Needs scikit-learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, precision_recall_curve

from experts.calibration import Calibration
from experts.train.data import Example

# About what moderated traffic holds; the training sets are balanced, so their own base rate would make every score too
# high.
BASE_RATE: Final = 0.2

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.bool_]


def labels(examples: Sequence[Example]) -> Labels:
    """bool[N]: who is unsafe."""
    return np.array([example.unsafe for example in examples], bool)


def balanced_weights(examples: Sequence[Example], unsafe_share: float) -> npt.NDArray[np.float64]:
    """Weights, float64[N] of mean 1: each set and class counts as the square root of its rows, unsafe ones
    `unsafe_share` in all.
    """
    sizes = Counter((example.source, example.unsafe) for example in examples)
    weights = np.array([sizes[example.source, example.unsafe] ** -0.5 for example in examples])
    unsafe = labels(examples)
    weights[unsafe] *= unsafe_share / weights[unsafe].sum()
    weights[~unsafe] *= (1 - unsafe_share) / weights[~unsafe].sum()
    return weights * len(examples)


def fit_calibration(logits: Floats, examples: Sequence[Example]) -> Calibration:
    """Platt scaling by maximum likelihood on held-out rows, weighted to the base rate."""
    weights = balanced_weights(examples, BASE_RATE)
    model = LogisticRegression(C=1e6).fit(logits.reshape(-1, 1), labels(examples), weights)
    return Calibration(float(model.coef_[0, 0]), float(model.intercept_[0]))


@dataclass(frozen=True, slots=True)
class Figures:
    """How good scores are on a labelled set: area under precision-recall, then F1 and false-positive rate at a
    threshold.
    """

    rows: int
    unsafe: int
    auprc: float
    threshold: float
    f1: float
    false_positive_rate: float


def figures(scores: Floats, unsafe: Labels, threshold: float) -> Figures:
    """The figures of scores float[N] against labels bool[N]; NaN, an abstention, counts as safe."""
    scores = np.nan_to_num(scores, nan=0.0)
    flagged = scores >= threshold
    hits = int((flagged & unsafe).sum())
    f1 = 2 * hits / max(1, int(flagged.sum()) + int(unsafe.sum()))
    false_positives = int((flagged & ~unsafe).sum()) / max(1, int((~unsafe).sum()))
    auprc = float(average_precision_score(unsafe, scores))
    return Figures(len(scores), int(unsafe.sum()), auprc, threshold, f1, false_positives)


def best_threshold(scores: Floats, examples: Sequence[Example]) -> float:
    """The threshold with the best F1 on held-out rows, both classes weighing the same."""
    weights = balanced_weights(examples, 0.5)
    precision, recall, thresholds = precision_recall_curve(labels(examples), scores, sample_weight=weights)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[int(np.argmax(f1[:-1]))])
