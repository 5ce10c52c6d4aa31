"""The stretch of rounds that a bound is about: all of them, or those since the policy changed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ensemble.moments import Moments
from ensemble.policy import Policy
from ensemble.rounds import Floats


@dataclass(frozen=True, eq=False, slots=True)
class Stretch:
    """What the bounds read. All moments are of the same K experts in the same order, those that ever voted."""

    policy: Policy
    before: Moments
    """When the stretch began; the moments of no rounds where it is all of them."""
    moments: Moments
    """At its end."""
    since: Moments
    """The difference."""
    delay: float
    """D of the difference."""
    log_prior: Floats
    """[K] log pi."""
    changed: bool
    """Whether turns of another policy's forecasts may be among the rounds."""
    moved: float
    """sum q of the rounds that may have been forecast from another prior than `log_prior`."""

    @property
    def every_turn(self) -> bool:
        """Whether all q are 1: q >= 1, so sum q^2 = sum q only then. Labels that nobody asked for may weigh less than 1
        and outweigh in the sums those that weigh more, so with such a policy nothing is known.
        """
        return self.policy.unasked in (0.0, 1.0) and self._at_most(1.0)

    @property
    def as_asked(self) -> bool:
        """False when some q is above 1 / `ask`: sum q^2 <= max(q) sum q."""
        return self._at_most(1.0 / self.policy.ask)

    @property
    def foreign(self) -> float:
        """j: how many of the rounds can have been forecast before the stretch, see `regret.py`."""
        return (1.0 + math.sqrt(1.0 + 8.0 * self.delay)) / 2.0 if self.changed else 0.0

    def _at_most(self, q: float) -> bool:
        counted = self.since.counted
        return bool(self.since.squares <= q * counted + 1e-9 * (1.0 + q * abs(counted)))


def log_sum_exp(logs: Floats) -> float:
    """log sum exp over all of an array, 0 where it is empty."""
    top = float(logs.max(initial=-math.inf))
    return top + math.log(float(np.exp(logs - top).sum())) if math.isfinite(top) else 0.0
