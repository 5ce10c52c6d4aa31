"""Platt scaling of somebody else's model on labelled turns, and what it is worth on them. Needs scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.linear_model import LogisticRegression

from experts.base import Scores
from experts.calibration import Calibration
from experts.errors import ExportError
from experts.export.wish import Labelled
from experts.figures import figures
from experts.train.quality import BASE_RATE

# Fewer turns of a class than this give no line that can be trusted.
FEWEST: Final = 10


@dataclass(frozen=True, slots=True)
class Worth:
    """What an expert is worth on the labelled turns that it was awake on: areas under precision-recall and ROC, then F1
    and false-positive rate at 0.5 once calibrated.
    """

    rows: int
    unsafe: int
    auprc: float
    auroc: float
    f1: float
    false_positive_rate: float


def calibrated(logits: Scores, labelled: Labelled) -> tuple[Calibration, Worth]:
    """The calibration of logits float32[N] (NaN: the expert sleeps) to a base rate of 20 % unsafe, and the figures.

    ExportError if there are too few turns of a class, or if higher logits do not mean unsafe.
    """
    awake = np.isfinite(logits)
    x, unsafe = logits[awake].astype(np.float64), labelled.unsafe[awake]
    if min(unsafe.sum(), (~unsafe).sum()) < FEWEST:
        raise ExportError(
            f"{labelled.name} has {int(unsafe.sum())} unsafe and {int((~unsafe).sum())} safe turns of the roles that "
            f"the expert reads: at least {FEWEST} of each are needed to calibrate"
        )
    weights = np.where(unsafe, BASE_RATE / unsafe.mean(), (1 - BASE_RATE) / (~unsafe).mean())
    line = LogisticRegression(C=1e6).fit(x.reshape(-1, 1), unsafe, weights)
    scale, bias = float(line.coef_[0, 0]), float(line.intercept_[0])
    found = figures(x, unsafe)
    if scale <= 0:
        raise ExportError(
            f"on {labelled.name} unsafe turns score lower than safe ones (AUROC {found.auroc.item():.2f}): "
            "the label map has them the wrong way round, or the model does not know such turns"
        )
    calibration = Calibration(scale, bias)
    at_half = figures(calibration.probabilities(x), unsafe, (0.5,))
    return calibration, Worth(
        len(x),
        int(unsafe.sum()),
        found.auprc.item(),
        found.auroc.item(),
        at_half.f1.item(),
        at_half.false_positive_rate.item(),
    )
