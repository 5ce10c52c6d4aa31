"""How good scores are on labelled rows: areas, F1, recall, false-positive rate; with bootstrap intervals. numpy only.

    average precision   AUPRC = sum_k (R_k - R_(k-1)) P_k over the distinct scores, from the highest: what scikit-learn
                        calls `average_precision_score` (no interpolation: Davis & Goadrich, "The relationship between
                        precision-recall and ROC curves", 2006)
    area under ROC      AUROC = P(score of an unsafe row > score of a safe one) + P(equal) / 2 (Hanley & McNeil, 1982)
    intervals           percentiles of the figure over resamples of the rows (Efron & Tibshirani, "An Introduction to
                        the Bootstrap", 1993, ch. 13)

A resample is the number of times that each row was drawn. The rows are put in order once, so that a figure of all
resamples is a few sums over that order. A figure that is not defined (AUPRC or AUROC of one class only, the recall of
no unsafe row) is nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.uint8]

PERCENTILES: Final = (2.5, 97.5)
TOGETHER: Final = 32
"""Resamples summed at once: with 2,000 rows their sums stay in a core's own cache, where this is twice as fast as all
together."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of B resamples at T thresholds; B is 1 for the rows as they are."""

    auprc: Floats
    """[B]"""
    auroc: Floats
    """[B]"""
    f1: Floats
    """[T, B]"""
    recall: Floats
    """[T, B] the share of unsafe rows that are flagged."""
    false_positive_rate: Floats
    """[T, B] the share of safe rows that are flagged."""


def figures(
    scores: npt.ArrayLike, unsafe: npt.ArrayLike, thresholds: Sequence[float] = (), counts: Counts | None = None
) -> Figures:
    """The figures of scores[N] against unsafe[N]; a row is flagged at a threshold when its score is at least that.

    `counts`[N, B] says how often each row stands in each resample; None: every row once. Raises ValueError for a score
    that is not finite: leave out the rows on which there is none, and say how many.
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(unsafe, np.bool_)
    if values.ndim != 1 or values.shape != truth.shape:
        raise ValueError(f"scores {values.shape} and labels {truth.shape} must both be [N]")
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite: leave out the rows without a score")
    order = np.argsort(-values, kind="stable")
    ranked, truth = values[order], truth[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.zeros(0, np.intp)
    flagged = np.searchsorted(-ranked, -np.asarray(thresholds, np.float64), side="right")
    if counts is None:
        return _summed(np.ones((len(ranked), 1)), truth, ends, flagged)
    starts = range(0, max(counts.shape[1], 1), TOGETHER)
    parts = [
        _summed(counts[order, start : start + TOGETHER].astype(np.float32), truth, ends, flagged) for start in starts
    ]
    return Figures(*(np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in Figures.__slots__))


def resamples(rows: int, count: int, seed: int) -> Counts:
    """uint8[N, B]: how often each of N rows is drawn in each of B resamples of N draws with replacement."""
    rng = np.random.default_rng(seed)
    drawn = np.empty((rows, count), np.uint8)
    for start in range(0, count, TOGETHER):
        several = min(TOGETHER, count - start)
        draws = rng.integers(0, max(rows, 1), (several, rows)) + np.arange(several)[:, None] * rows
        # A count above 255 has a chance below 1e-500, so a byte holds it.
        drawn[:, start : start + several] = np.bincount(draws.ravel(), minlength=several * rows).reshape(several, -1).T
    return drawn


def interval(values: Floats) -> tuple[float, float]:
    """The percentiles of a figure over its resamples; (nan, nan) where more than half of them do not define it."""
    defined = values[np.isfinite(values)]
    if 2 * len(defined) <= len(values):
        return np.nan, np.nan
    low, high = np.percentile(defined, PERCENTILES)
    return float(low), float(high)


def _summed(
    weights: npt.NDArray[Any], unsafe: Labels, ends: npt.NDArray[np.intp], flagged: npt.NDArray[np.intp]
) -> Figures:
    """Rows in descending order of their score: weights[N, B], unsafe[N]; `ends` is the last row of each distinct score,
    flagged[T] the number of rows at or above each threshold.
    """
    zeros = np.zeros((1, weights.shape[1]), weights.dtype)
    hits = np.concatenate([zeros, np.cumsum(weights * unsafe[:, None], axis=0)])  # [N + 1, B], after so many rows
    taken = np.concatenate([zeros, np.cumsum(weights, axis=0)])
    positives, negatives = hits[-1].astype(np.float64), (taken[-1] - hits[-1]).astype(np.float64)
    steps = np.append(0, ends + 1)
    hits_at, taken_at = hits[steps], taken[steps]
    gained = np.diff(hits_at, axis=0)
    precise = (gained * hits_at[1:] / np.maximum(taken_at[1:], 1)).sum(axis=0, dtype=np.float64)
    above = (hits_at[1:] - gained / 2) * np.diff(taken_at - hits_at, axis=0)
    true, all_ = hits[flagged].astype(np.float64), taken[flagged].astype(np.float64)
    both = (positives > 0) & (negatives > 0)
    return Figures(
        auprc=_ratio(precise, np.where(both, positives, 0.0)),
        auroc=_ratio(above.sum(axis=0, dtype=np.float64), positives * negatives),
        f1=_ratio(2.0 * true, np.where(positives > 0, all_ + positives, 0.0)),
        recall=_ratio(true, np.broadcast_to(positives, true.shape)),
        false_positive_rate=_ratio(all_ - true, np.broadcast_to(negatives, true.shape)),
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    """above / below, nan where below is 0."""
    result: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return result
