"""What `/metrics` tells of learning: of contexts only their role, since a context names a tenant. Kept by the owner of
partition 0, which publishes `weights.v1`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from ensemble.regret import RegretReport
from stream.metrics import Metrics


class Learned(NamedTuple):
    """Of one context: the largest regret over its bound, that regret and its bound (inf: none), the loss of the
    published scores over `rounds` labelled turns, and the weight of each expert by its name with its version."""

    ratio: float
    regret: float
    bound: float
    loss: float
    rounds: int
    weights: Mapping[str, float]


class LearningGauges:
    """Sums over the contexts of each role, kept up as each changes."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.forget()

    def forget(self) -> None:
        """Another worker tells from now on."""
        self._known: dict[str, dict[str, Learned]] = defaultdict(dict)
        self._rounds: dict[str, int] = defaultdict(int)
        self._losses: dict[str, float] = defaultdict(float)
        self._weights: dict[tuple[str, str], float] = defaultdict(float)
        self.tell()

    def learn(self, context: str, found: RegretReport, weights: Mapping[str, float]) -> None:
        """A context has learned, or is read otherwise."""
        role = context.rpartition("/")[2]
        regret = float(found.regret.max()) if len(found.regret) else 0.0
        now = Learned(max(found.ratio, 0.0), regret, found.bound, found.loss, found.rounds, dict(weights))
        before = self._known[role].get(context)
        if before is not None:
            self._add(role, before, -1)
        self._known[role][context] = now
        self._add(role, now, 1)

    def _add(self, role: str, learned: Learned, sign: int) -> None:
        self._rounds[role] += sign * learned.rounds
        self._losses[role] += sign * learned.loss
        for expert, weight in learned.weights.items():
            self._weights[expert, role] += sign * weight * learned.rounds

    def tell(self) -> None:
        """Sets the gauges. Of all contexts of a role the one nearest its bound has its regret told."""
        metrics = self._metrics
        worst = {role: max(known.values()) for role, known in self._known.items() if known}
        metrics.regret_ratio.set(max((one.ratio for one in worst.values()), default=0.0))
        metrics.contexts.replace({(role,): len(self._known[role]) for role in worst})
        metrics.rounds.replace({(role,): self._rounds[role] for role in worst})
        metrics.regret.replace({(role,): one.regret for role, one in worst.items()})
        metrics.bound.replace({(role,): one.bound for role, one in worst.items() if math.isfinite(one.bound)})
        some = {role: rounds for role, rounds in self._rounds.items() if rounds and role in worst}
        metrics.loss.replace({(role,): self._losses[role] / rounds for role, rounds in some.items()})
        metrics.weight.replace(
            {
                (expert, role): weighed / some[role]
                for (expert, role), weighed in self._weights.items()
                if role in some and weighed > 0
            }
        )
