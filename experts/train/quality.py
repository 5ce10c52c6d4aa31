"""Calibration on held-out rows and the figures of a card. Needs scikit-learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve

from experts import figures as measuring
from experts.calibration import Calibration
from experts.errors import TrainingError

# About what moderated traffic holds; the training sets are balanced, so their own base rate would make every score too
# high.
BASE_RATE: Final = 0.2

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Labelled:
    """N rows: the set that each is from, and bool[N] who is unsafe."""

    sources: Sequence[str]
    unsafe: Labels


def balanced_weights(rows: Labelled, unsafe_share: float) -> npt.NDArray[np.float64]:
    """Weights, float64[N] of mean 1: each set and class counts as the square root of its rows, unsafe ones
    `unsafe_share` in all.
    """
    keys = list(zip(rows.sources, rows.unsafe.tolist(), strict=True))
    sizes = Counter(keys)
    weights = np.array([sizes[key] ** -0.5 for key in keys])
    weights[rows.unsafe] *= unsafe_share / weights[rows.unsafe].sum()
    weights[~rows.unsafe] *= (1 - unsafe_share) / weights[~rows.unsafe].sum()
    return weights * len(keys)


def fit_calibration(logits: Floats, rows: Labelled) -> Calibration:
    """Platt scaling by maximum likelihood on held-out rows, weighted to the base rate. TrainingError if the logits are
    not higher where a row is unsafe.
    """
    weights = balanced_weights(rows, BASE_RATE)
    model = LogisticRegression(C=1e6).fit(logits.reshape(-1, 1), rows.unsafe, weights)
    scale, bias = float(model.coef_[0, 0]), float(model.intercept_[0])
    if not scale > 0:
        raise TrainingError("unsafe held-out rows do not score higher than safe ones: train longer, or on more rows")
    return Calibration(scale, bias)


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
    """The figures of scores float[N] against labels bool[N]. Of one class only, what is not defined is NaN."""
    found = measuring.figures(scores, unsafe, (threshold,))
    rate = found.false_positive_rate.item()
    return Figures(len(scores), int(unsafe.sum()), found.auprc.item(), threshold, found.f1.item(), rate)


def best_threshold(scores: Floats, rows: Labelled) -> float:
    """The threshold with the best F1 on held-out rows, both classes weighing the same."""
    weights = balanced_weights(rows, 0.5)
    precision, recall, thresholds = precision_recall_curve(rows.unsafe, scores, sample_weight=weights)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[int(np.argmax(f1[:-1]))])
