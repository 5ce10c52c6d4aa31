"""From logits to probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experts.base import Scores


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling: P(unsafe | logit) = 1 / (1 + exp(-(scale * logit + bias))).

    Source: J. Platt, "Probabilistic outputs for support vector machines", 1999. `scale` is the inverse of a
    temperature.
    """

    scale: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and math.isfinite(self.bias) and self.scale > 0):
            raise ValueError(
                f"a calibration needs a positive scale and finite numbers, not {self.scale} and {self.bias}"
            )

    def probabilities(self, logits: npt.NDArray[np.floating]) -> Scores:
        """float32[N] in [0, 1]; NaN stays NaN."""
        # Computed as a tanh, which cannot overflow.
        return (0.5 * (1.0 + np.tanh(0.5 * (self.scale * logits.astype(np.float64) + self.bias)))).astype(np.float32)
