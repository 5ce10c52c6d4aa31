"""Cold start: a context in which nobody has labelled anything yet is weighed as its parents are.

    w_all    the weights by the moments of all contexts together, from a uniform prior
    w_role   by those of all contexts of the role, from the prior blend(w_all)
    prior    blend(w_role), where blend mixes 10 % of uniform weights in

all of them read under the policy of the context. Sums of sums: nothing is stored for it but the prior itself, once,
when a context has its first labelled rounds (`weights.WeightsPublisher`). Until a worker has read that record the prior
may move, so it forecasts without the context's own moments and stores `used` = 0: such rounds are `Moments.cold`, and
every other round of the context was forecast from the prior in the record."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from typing import Final

import numpy as np

from ensemble.forecaster import Forecaster, blend
from ensemble.moments import Moments, subtract, total, zero
from ensemble.policy import Policy
from ensemble.rounds import Floats
from ensemble.sampling import with_unasked
from stream.asking import context_of_class, is_unasked, unasked_of
from stream.parts import Packed

TOGETHER: Final = 50
"""Parts counted between two chances for the rest of the worker (about 3 ms)."""
NOTHING_KNOWN: Final[Mapping[str, float]] = {}
"""The record of a context that began with all experts alike."""
_NEARLY: Final = 1.0 - 1e-9
"""Of sums of float64 that are equal but for the order of their terms."""


class Parents:
    """The sums over all contexts of a role, kept up to date part by part: a part is what one partition has learned of
    one context, or of its labels that nobody asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, Moments] = {}
        self._counted: dict[str, dict[int, Packed]] = {}
        self._waiting: dict[tuple[str, int], Packed] = {}
        self._cold: dict[tuple[str, Policy, tuple[str, ...]], Forecaster] = {}

    def take(self, key: str, partition: int, part: Packed) -> None:
        """The newest part of this key and partition; it counts when `count` has come to it."""
        self._waiting[key, partition] = part

    def count(self, most: int = TOGETHER) -> bool:
        """Bring the sums up to date with some parts that came; False when there are no more."""
        added, replaced = defaultdict[str, list[Packed]](list), defaultdict[str, list[Packed]](list)
        for key, partition in list(islice(self._waiting, most)):
            part = self._waiting.pop((key, partition))
            counted = self._counted.setdefault(key, {})
            if partition in counted:
                replaced[_role(key)].append(counted[partition])
            added[_role(key)].append(part)
            counted[partition] = part
        for role, parts in added.items():
            known = [self._sums[role]] if role in self._sums else []
            grown = total([*known, *(part.moments() for part in parts)])
            before = replaced.get(role, ())
            self._sums[role] = subtract(grown, total(part.moments() for part in before)) if before else grown
        if added:
            self._cold.clear()
        return bool(self._waiting)

    def forecaster(self, context: str, policy: Policy, voters: tuple[str, ...]) -> Forecaster:
        """The weights of a context that has learned nothing: those of its parents, with nothing used. Made once for all
        such contexts of a role."""
        key = (_role(context), policy, voters)
        if key not in self._cold:
            prior = self._prior(policy, voters, self._of(key[0], policy), self._whole(policy))
            self._cold[key] = Forecaster.of(zero(voters), policy, voters, prior)
        return self._cold[key]

    def prior_of_others(self, context: str, policy: Policy, voters: tuple[str, ...]) -> Floats | None:
        """[K] the prior of a context from all others; None, which is uniform, where they have learned nothing."""
        own = self._own(context, policy)
        others, role = self._whole(policy), self._of(_role(context), policy)
        if own is not None:
            others, role = subtract(others, own), subtract(role, own)
        return self._prior(policy, voters, role, others)

    def _prior(self, policy: Policy, voters: tuple[str, ...], role: Moments, everybody: Moments) -> Floats | None:
        if everybody.rounds <= 0:
            return None
        first = Forecaster.of(everybody, policy, voters).weights()
        return blend(Forecaster.of(role, policy, voters, blend(first)).weights())

    def _whole(self, policy: Policy) -> Moments:
        roles = sorted({context_of_class(key) for key in self._sums})
        return total(self._of(role, policy) for role in roles)

    def _of(self, role: str, policy: Policy) -> Moments:
        return with_unasked(self._sums.get(role, zero(())), self._sums.get(unasked_of(role)), policy.unasked)

    def _own(self, context: str, policy: Policy) -> Moments | None:
        """What of a context's own is in the sums."""
        asked, unasked = (
            total(part.moments() for part in self._counted.get(key, {}).values())
            for key in (context, unasked_of(context))
        )
        own = with_unasked(asked, unasked, policy.unasked)
        return own if own.experts else None


def aligned(prior: Mapping[str, float] | None, experts: tuple[str, ...]) -> Floats | None:
    """[K] a recorded prior for this panel; None, which is uniform, where there is none.

    An expert that it does not name has the uniform share of those it names, and all are normalised: so the ratio of two
    experts is the same in whatever panel they meet, as the bound for sleepers needs it."""
    if not prior or not experts:
        return None
    weights = np.array([prior.get(expert, 1.0 / len(prior)) for expert in experts])
    shares: Floats = weights / weights.sum()
    return shares


def first_prior(
    parents: Parents, context: str, learned: Moments, policy: Policy, voters: tuple[str, ...]
) -> dict[str, float] | None:
    """What to record of a context that has no record; None while it has no labelled rounds.

    Where some of its rounds were forecast from moments of its own, it had a prior that nobody knows any more (they were
    learned before priors were recorded, or the records were lost): it is taken to have been uniform."""
    if learned.rounds <= 0:
        return None
    if learned.cold < learned.counted * _NEARLY:
        return dict(NOTHING_KNOWN)
    prior = parents.prior_of_others(context, policy, voters)
    return dict(NOTHING_KNOWN) if prior is None else dict(zip(voters, prior.tolist(), strict=True))


def _role(key: str) -> str:
    """What a part is summed under: the role of its context, apart where nobody asked for the labels."""
    role = context_of_class(key).rpartition("/")[2]
    return unasked_of(role) if is_unasked(key) else role
