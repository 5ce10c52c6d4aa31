"""Drift: the recent loss of an expert, or of the published score, departs from its long-run loss.

Recent is the mean under a half-life h, long-run the mean over all labelled rounds (h = infinity), both of losses under
the policy put on [0, 1] by its span. What is compared is recent, the sums with weights d, with the rest, the sums with
weights 1 - d: long-run is a mean of the two, so it differs from recent if and only if they differ, and a jump does not
hide in a long run that it is a good part of. Each of the two has a confidence set, the means against which it speaks
with an evidence of at most ln(1 / delta) (`deviations.py`: weights may be anything in [0, 1]), and a loss has departed
when the sets have no mean in common.

False alarms. Hypothesis: given the past, the loss of every turn of a scorer has the same mean mu, and the times of
turns do not depend on losses. Then mu is outside one given set with a probability of at most delta. If two sets are
disjoint, mu is outside one of them. There are 2 (H - 1) sets for each of K + 1 scorers, so with

    delta = alpha / (2 (H - 1) (K + 1))

the probability of any alarm at one look is at most alpha (union bound), however the sums hang together; labels may be
sampled with any known q. Independence is not asked for, only that the mean stays. Looks add up too: at alpha = 1e-6,
the default, and one look a second a context has less than 0.09 false alarms a day (86,400 alpha). That bound counts
every look as a new chance; looks at almost the same sums are not, and in simulations none is seen.

Power. With n effective rounds in a half-life it takes about n kl(recent || rest) > ln(1 / delta) + ln(n) / 2, so a
short half-life sees large jumps only; h remembers the labels of h / ln 2 seconds. In simulations (losses of 0 or 1,
20,000 labels with mean 0.1, 6 experts, alpha = 1e-6, median of 20) the alarm came after so many labels:

    a label every    a jump to 0.2    to 0.3    to 0.5
    173 s                    2,084       511       168
    60 s                     2,318       786       108
    6 s                      1,848       534       231
    1 s                      3,754     1,476       671

A loss that fell has departed as well: often an ensemble that has learned, or else labels of another kind. Shadows are
left out: they decide nothing, and each of them would make the alarm for those that vote a little later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from ensemble.deviations import disjoint, evidence, largest_q
from ensemble.losses import cumulative, span
from ensemble.moments import Moments, align
from ensemble.policy import Policy
from ensemble.rounds import Floats, N
from ensemble.shadows import voters_of

ALPHA: Final = 1e-6
"""Of a look: see the module for what that is in a day."""

ENSEMBLE: Final = "ensemble"
"""The scorer whose loss is that of the published scores. No expert is called so: their names have a version."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One scorer's recent loss beside its long-run loss, under the half-life that speaks most of a difference."""

    scorer: str
    """An expert "name@version", or ENSEMBLE."""
    half_life: float
    """Seconds."""
    recent: float
    """Mean loss of a labelled round under that half-life; nan without rounds."""
    long_run: float
    """Mean loss of all labelled rounds; nan without rounds."""
    departed: bool

    @property
    def worse(self) -> bool:
        """The direction: whether the recent loss is the larger one."""
        return self.recent > self.long_run


def departures(moments: Moments, policy: Policy, alpha: float = ALPHA) -> tuple[Departure, ...]:
    """One for each expert that ever voted, in their order, then one for the ensemble.

    `alpha`, in (0, 1), bounds the probability that any of them is a false alarm, see the module. Empty when the moments
    have one half-life only: nothing is recent then.
    """
    if len(moments.half_lives) < 2:
        return ()
    voted = align(moments, voters_of(moments.experts))
    sums = np.concatenate([voted.expert, voted.total[:, None]], axis=1)
    weight = sums[..., N].sum(axis=-1)
    losses = cumulative(sums, policy) / span(policy)
    means = _means(losses, weight)
    others, rest = weight[0] - weight[1:], _means(losses[0] - losses[1:], weight[0] - weight[1:])
    most = largest_q(voted.counted, voted.squares, policy.ask)
    level = math.log(2.0 * others.size / alpha)
    columns = (weight[1:] / most, means[1:], others / most, rest)
    found = []
    for s, scorer in enumerate((*voted.experts, ENSEMBLE)):
        looks = [_look(h, level, *(float(column[h - 1, s]) for column in columns)) for h in range(1, len(weight))]
        departed, _, h = max(looks)
        recent, long_run = (span(policy) * float(means[index, s]) for index in (h, 0))
        found.append(Departure(scorer, voted.half_lives[h], recent, long_run, departed))
    return tuple(found)


def _means(losses: Floats, weight: Floats) -> Floats:
    """Of the same shape, in [0, 1]; nan without weight."""
    return np.clip(np.divide(losses, weight, out=np.full_like(losses, np.nan), where=weight > 0.0), 0.0, 1.0)


def _look(h: int, level: float, n: float, recent: float, m: float, rest: float) -> tuple[bool, float, int]:
    """Whether the sets of n recent and of m other rounds are disjoint, how strongly recent speaks for it, and h."""
    if not (n > 0.0 and m > 0.0):
        return False, -math.inf, h
    return disjoint(n, recent, m, rest, level), evidence(n, recent, rest), h
