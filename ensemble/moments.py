"""Additive moments: all that is learned in one context, as sums from which weights, losses and regret are read.

Axes, in this order: H half-lives, K experts, C label classes, S statistics (n, m1, m2, a, b, t), P products
(`squares.py`), B bins of the score. With q the importance
weight, for every half-life h, expert i and label class c, over the labelled rounds of class c in which expert i was
awake:

    n = sum q d              m1 = sum q d p           m2 = sum q d p^2
    a = sum q d log p        b = sum q d log(1 - p)   t = sum q d [p >= 1/2]

where d = 2 ** (-(at - scored_at) / h) and p is the score of the expert, of the forecast of half-life h, or of the
verdict. (Cesa-Bianchi & Lugosi, Prediction, Learning, and Games, 2006, ch. 2 and 3, need no more of the past than these
cumulative losses.) Second-order rules need squares of regrets as well: see `squares.py`. Thresholds need the
distribution of the published scores in each class: a histogram of BINS equal bins.

Being sums they do not know the order or the partition of the labels, and a label is corrected by taking it back and
adding it again.

Delay. Put the labelled rounds in scoring order. The k-th of them has k - 1 predecessors, of which the forecast had read
`used_k`, so it missed k - 1 - used_k, and over all T rounds

    D = sum_k (k - 1 - used_k) = T (T - 1) / 2 - U,    U = sum_k used_k,

which needs no order: T and U are sums. With importance weights a missed round s weighs q_k q_s in the bounds, and in
the same way D = sum_k q_k (Q_<k - used_k) = (Q^2 - sum q^2) / 2 - sum_k q_k used_k, with Q = sum q and `used` counted
in q. At q = 1 the two agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import Any, Final

import numpy as np

from ensemble.errors import AdviceError, MomentsMismatchError
from ensemble.policy import CLASSES
from ensemble.rounds import BINS, STATISTICS, Floats, N, Rounds
from ensemble.squares import PRODUCTS
from ensemble.sums import add

DAY: Final = 86_400.0
HALF_LIVES: Final = (inf, 7 * DAY, DAY, DAY / 24)
"""Seconds of event time. Never forget; a week (a season of abuse); a day (a campaign); an hour (an attack or a broken
expert).
"""

_C, _S, _P = len(CLASSES), len(STATISTICS), len(PRODUCTS)

SUMS: Final = (
    "rounds", "used", "cold", "expert", "forecast", "squared", "published", "hedge", "total", "importance", "histogram"
)  # fmt: skip
"""The fields that add up: all but the axes and the reference time."""

_DECAYED: Final = ("expert", "forecast", "squared", "total")


@dataclass(frozen=True, eq=False)
class Moments:
    """The sums of one context. Arrays are read-only; every operation answers a new record.

    Raises AdviceError when names repeat, the first half-life is not infinity, or an array has another shape than the
    axes say.
    """

    experts: tuple[str, ...]
    """K names "name@version"; the rounds of one that had no vote are under a name of their own, see `shadows.py`."""
    half_lives: tuple[float, ...]
    """H seconds, strictly decreasing, the first is infinity."""
    at: float
    """The unix seconds to which decayed sums refer, the latest `scored_at` seen; -inf while nothing was."""
    rounds: int
    """T: labelled rounds, each counted once whatever its q."""
    used: float
    """U = sum q used, see Delay above."""
    cold: float
    """sum q over the rounds that were forecast before any label of this context had been read (`used` = 0)."""
    expert: Floats
    """[H, K, C, S] sums of the expert's own score over the rounds in which it was awake, decayed."""
    forecast: Floats
    """[H, K, C, S] the same sums of the forecast p[h] of that very half-life, over the rounds in which expert i was
    awake.

    Regret under h must compare expert i with the forecast that the weights under h made, and only where i was awake:
    then sum_i pi_i exp(eta R[i, h]) never grows in a round without delay, the potential argument of `regret.py`, for
    each h by itself.
    """
    squared: Floats
    """[H, K, C, P] sums of products of expert i's distance from the forecast p[h], decayed, weighted by q^2: the sum of
    squared regrets under any policy, see `squares.py`."""
    published: Floats
    """[K, C, S] sums of the verdict's score over the rounds in which expert i was awake, undecayed."""
    hedge: Floats
    """[H, C, S] sums of the forecast p[h] over all rounds with somebody awake, undecayed: what the half-lives are
    weighed by.
    """
    total: Floats
    """[H, C, S] sums of the verdict's score over all those rounds, decayed."""
    importance: Floats
    """[C] sum q^2; equal to sum q exactly when every turn is labelled."""
    histogram: Floats
    """[C, B] sum q over those rounds by the bin of the verdict's score, undecayed."""

    def __post_init__(self) -> None:
        if len(set(self.experts)) != len(self.experts):
            raise AdviceError(f"experts {self.experts} name one twice: give each a name@version of its own")
        if not self.half_lives or self.half_lives[0] != inf or not all(a > b > 0 for a, b in pairwise(self.half_lives)):
            raise AdviceError(f"half_lives {self.half_lives} must be infinity first, then strictly decreasing above 0")
        for name, shape in shapes(len(self.half_lives), len(self.experts)).items():
            array: Floats = getattr(self, name)
            if array.shape != shape:
                raise AdviceError(f"moments.{name} has shape {array.shape}, its axes say {shape}")
            array.setflags(write=False)

    @property
    def own(self) -> Floats:
        """[K, C, S] sums of each expert, undecayed: those under the first half-life."""
        first: Floats = self.expert[0]
        return first

    @property
    def counted(self) -> float:
        """Q = sum q over the labelled rounds; T where every turn is labelled. What a turn forecast from these moments
        has `used`.
        """
        return float(self.total[0, :, N].sum())

    @property
    def squares(self) -> float:
        """sum q^2 over all classes."""
        return float(self.importance.sum())

    @property
    def delay(self) -> float:
        """D, see above; clipped at 0."""
        return max(0.0, (self.counted**2 - self.squares) / 2.0 - self.used)


def shapes(half_lives: int, experts: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array of Moments with H half-lives and K experts, in the order in which they are stored."""
    return {
        "expert": (half_lives, experts, _C, _S),
        "forecast": (half_lives, experts, _C, _S),
        "squared": (half_lives, experts, _C, _P),
        "published": (experts, _C, _S),
        "hedge": (half_lives, _C, _S),
        "total": (half_lives, _C, _S),
        "importance": (_C,),
        "histogram": (_C, BINS),
    }


def zero(experts: Sequence[str], half_lives: Sequence[float] = HALF_LIVES) -> Moments:
    """The moments of no rounds: the neutral element of `merge`."""
    arrays = {name: np.zeros(shape) for name, shape in shapes(len(half_lives), len(experts)).items()}
    return Moments(tuple(experts), tuple(half_lives), at=-inf, rounds=0, used=0.0, cold=0.0, **arrays)


def fold(moments: Moments, rounds: Rounds) -> Moments:
    """The moments with these rounds added, or taken back where their sign is -1.

    `rounds` has its K and H axes in the order of `moments`. Raises AdviceError when they differ in length.
    """
    panel, axes = (rounds.scores.shape[1], rounds.forecasts.shape[1]), (len(moments.experts), len(moments.half_lives))
    if panel != axes:
        raise AdviceError(f"rounds of (K, H) = {panel} do not fit moments of {axes}: align the moments first")
    rounds = rounds.counted()
    if not len(rounds):
        return moments
    moments = rescale(moments, max(moments.at, float(rounds.scored_at.max())))
    sums: dict[str, Any] = {name: getattr(moments, name).copy() for name in shapes(0, 0)}
    add(sums, rounds, moments.half_lives, moments.at)
    signed = rounds.sign * rounds.q
    return replace(
        moments,
        rounds=moments.rounds + int(rounds.sign.sum(dtype=np.int64)),
        used=moments.used + float((signed * rounds.used).sum()),
        cold=moments.cold + float(signed[rounds.used == 0.0].sum()),
        **sums,
    )


def merge(a: Moments, b: Moments) -> Moments:
    """The sum of two records, over the sorted union of their experts, at the later of their reference times.

    Raises MomentsMismatchError when their half-lives differ.
    """
    return _sum((a, b))


def subtract(moments: Moments, baseline: Moments) -> Moments:
    """What came after the baseline, an earlier copy of the same sums. Raises MomentsMismatchError when their half-lives
    differ.
    """
    negative = {name: -getattr(baseline, name) for name in SUMS}
    return merge(moments, replace(baseline, **negative))


def total(records: Iterable[Moments]) -> Moments:
    """The sum of any number of records, taken in their order: the same records give the same bits. Of none, the moments
    of no rounds of no expert under the default half-lives.

    Raises MomentsMismatchError when their half-lives differ.
    """
    found = tuple(records)
    return _sum(found) if len(found) > 1 else found[0] if found else zero(())


def align(moments: Moments, experts: Sequence[str]) -> Moments:
    """The same moments for this panel, in its order: a newcomer has zeros, an expert not named is left out."""
    names = tuple(experts)
    if names == moments.experts:
        return moments
    position = {name: index for index, name in enumerate(moments.experts)}
    known = [index for index, name in enumerate(names) if name in position]
    source = [position[names[index]] for index in known]
    empty = zero(names, moments.half_lives)
    published = empty.published.copy()
    published[known] = moments.published[source]
    by_half_life: dict[str, Any] = {name: getattr(empty, name).copy() for name in ("expert", "forecast", "squared")}
    for name, array in by_half_life.items():
        array[:, known] = getattr(moments, name)[:, source]
    return replace(moments, experts=names, published=published, **by_half_life)


def rescale(moments: Moments, at: float) -> Moments:
    """The same moments with their decayed sums referred to another time, in unix seconds."""
    if at == moments.at:
        return moments
    if moments.at == -inf:  # only zeros, which refer to any time
        return replace(moments, at=at)
    decay = np.exp2((moments.at - at) / np.array(moments.half_lives))
    arrays: dict[str, Floats] = {name: getattr(moments, name) for name in _DECAYED}
    faded: dict[str, Any] = {name: array * decay.reshape(-1, *[1] * (array.ndim - 1)) for name, array in arrays.items()}
    return replace(moments, at=at, **faded)


def _sum(records: tuple[Moments, ...]) -> Moments:
    """Each array of all records at once, over the sorted union of their experts, at the latest of their reference
    times. A context has a record in each partition, and a dozen sums of two cost five times as much.
    """
    first = records[0]
    for other in records[1:]:
        if first.half_lives != other.half_lives:
            raise MomentsMismatchError(
                f"moments under half-lives {first.half_lives} and {other.half_lives} have no sum: "
                "keep the half-lives that the moments topic was started with, or start a new one"
            )
    experts = tuple(sorted(set().union(*(record.experts for record in records))))
    aligned = [align(record, experts) for record in records]
    at = max(record.at for record in records)
    decay = _decay(np.array([record.at for record in records]), at, first.half_lives)
    sums: dict[str, Any] = {}
    for name in shapes(0, 0):
        every = np.array([getattr(record, name) for record in aligned])
        if decay is not None and name in _DECAYED:
            every *= decay.reshape(*decay.shape, *[1] * (every.ndim - 2))
        sums[name] = np.add.reduce(every, axis=0)
    return Moments(
        experts,
        first.half_lives,
        at,
        rounds=sum(record.rounds for record in records),
        used=sum(record.used for record in records),
        cold=sum(record.cold for record in records),
        **sums,
    )


def _decay(times: Floats, at: float, half_lives: tuple[float, ...]) -> Floats | None:
    """[N, H] what decayed sums that refer to `times` count at the time `at`; None where all count in full."""
    ages = np.where(times == -inf, 0.0, times - at) if at > -inf else np.zeros(len(times))  # -inf: only zeros
    return np.exp2(ages[:, None] / np.array(half_lives)) if ages.any() else None
