"""Labelled rounds, the only thing that moments are made of, and the six statistics of a probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ensemble.errors import AdviceError
from ensemble.policy import CLASSES

STATISTICS: Final = ("n", "m1", "m2", "a", "b", "t")
N, M1, M2, A, B, T = range(6)
"""The axis S: count, sum of p, of p^2, of log p, of log(1 - p), and of [p >= 1/2]."""

CLIP: Final = 1e-4
"""log p is taken of p clipped to [CLIP, 1 - CLIP]: one sure and wrong score then costs 9.2, not infinity."""

Floats = NDArray[np.float64]

BINS: Final = 100
"""Of the score, so that a threshold has two decimals."""
EDGES: Final = np.arange(BINS) / BINS
"""The lowest score of each bin: a score is at or above an edge if and only if its bin is, as `Policy.decide` compares
them. (Truncating 100 x score puts a score of 0.29 into bin 28.)"""


def statistics(p: Floats) -> Floats:
    """The six statistics of each probability: p[...] -> [S, ...]."""
    found = np.empty((len(STATISTICS), *p.shape))
    clipped = np.clip(p, CLIP, 1.0 - CLIP)
    found[N], found[M1], found[T] = 1.0, p, p >= 0.5
    np.multiply(p, p, out=found[M2])
    np.log(clipped, out=found[A])
    np.log(1.0 - clipped, out=found[B])  # log1p is half as fast, and differs by less than 1e-16
    return found


@dataclass(frozen=True, eq=False)
class Rounds:
    """A batch of N labelled rounds of one context, on a panel of K experts and H half-lives.

    A correction is the same round twice: with sign -1 under the class that it had, and with sign +1 under its new one.
    A round in which nobody was awake contributes nothing, and its forecasts may be nan.

    Raises AdviceError when a shape or a value cannot be one of a round.
    """

    scores: Floats
    """[N, K] in [0, 1], the stored advice; any value (also nan) where asleep."""
    awake: NDArray[np.bool_]
    """[N, K], who gave advice."""
    forecasts: Floats
    """[N, H] in [0, 1], what each half-life forecast when the turn was scored."""
    published: Floats
    """[N] in [0, 1], the score of the verdict."""
    label: NDArray[np.uint8]
    """[N], the class index that people gave."""
    scored_at: Floats
    """[N] unix seconds, when the turn was scored: the time by which half-lives decay."""
    q: Floats
    """[N] at least 1: 1 / (probability that this turn was chosen for labelling)."""
    used: Floats
    """[N] what `Forecaster.used` was for this turn's forecast: the labelled rounds (the sum of their q) that it had
    read.
    """
    sign: NDArray[np.int8]
    """[N] +1 adds the round, -1 takes it back."""

    def __post_init__(self) -> None:
        problem = self._shape_problem() or self._value_problem()
        if problem:
            raise AdviceError(f"rounds cannot be folded: {problem}")

    @classmethod
    def of(
        cls,
        scores: ArrayLike,
        awake: ArrayLike,
        forecasts: ArrayLike,
        published: ArrayLike,
        label: ArrayLike,
        scored_at: ArrayLike,
        *,
        used: ArrayLike,
        q: ArrayLike = 1.0,
        sign: ArrayLike = 1,
    ) -> Rounds:
        """Rounds from anything numpy can read; a single `q`, `used` or `sign` stands for all of the N."""
        marks = np.asarray(label, np.uint8)

        def each(value: ArrayLike) -> Floats:
            return np.broadcast_to(np.asarray(value, np.float64), marks.shape)

        return cls(
            scores=np.asarray(scores, np.float64),
            awake=np.asarray(awake, np.bool_),
            forecasts=np.asarray(forecasts, np.float64),
            published=np.asarray(published, np.float64),
            label=marks,
            scored_at=each(scored_at),
            q=each(q),
            used=each(used),
            sign=np.broadcast_to(np.asarray(sign, np.int8), marks.shape),
        )

    def __len__(self) -> int:
        return len(self.label)

    def counted(self) -> Rounds:
        """Only the rounds in which somebody was awake."""
        keep: NDArray[np.bool_] = np.any(self.awake, axis=1)
        return self if keep.all() else self.select(keep)

    def select(self, index: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Rounds:
        """The rounds at a mask, an index array or a slice of N."""
        return Rounds(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def _shape_problem(self) -> str | None:
        count = len(self.label)
        if self.scores.ndim != 2 or self.scores.shape != self.awake.shape:
            return f"scores {self.scores.shape} and awake {self.awake.shape} must both be [N, K]"
        if self.forecasts.ndim != 2:
            return f"forecasts {self.forecasts.shape} must be [N, H]"
        for name in self.__dataclass_fields__:
            values = getattr(self, name)
            if values.shape[:1] != (count,) or (values.ndim != 1 and name not in ("scores", "awake", "forecasts")):
                return f"{name} has shape {values.shape}, but there are {count} labels"
        return None

    def _value_problem(self) -> str | None:
        heard = self.awake.any(axis=1)
        for name, values in (
            ("scores", self.scores[self.awake]),
            ("forecasts", self.forecasts[heard]),
            ("published", self.published[heard]),
        ):
            if not ((values >= 0.0) & (values <= 1.0)).all():
                return f"{name} must lie in [0, 1] wherever somebody was awake"
        if not (self.label < len(CLASSES)).all():
            return f"label must be a class index below {len(CLASSES)}"
        if not np.isfinite(self.scored_at).all():
            return "scored_at must be finite unix seconds"
        if not (np.isfinite(self.q) & (self.q >= 1.0)).all():
            return "q must be finite and at least 1: it is 1 / probability"
        if not (np.isfinite(self.used) & (self.used >= 0.0)).all():
            return "used must be finite and not negative"
        if not (np.abs(self.sign) == 1).all():
            return "sign must be +1 or -1"
        return None
