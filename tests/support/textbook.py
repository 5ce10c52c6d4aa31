"""The algorithm as a textbook has it, a round at a time in plain Python: weights read from moments must agree."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ensemble import HALF_LIVES, Policy

CLIP = 1e-4


def loss_of(policy: Policy, label: int, p: float) -> float:
    """The loss of one score, by its definition."""
    y, w = policy.targets[label], policy.costs[label]
    if policy.loss == "brier":
        return w * (p - y) ** 2
    if policy.loss == "absolute":
        return w * abs(p - y)
    if policy.loss == "zero_one":
        return w * float((p >= 0.5) != (y >= 0.5))
    inside = min(max(p, CLIP), 1.0 - CLIP)
    return -w * (y * math.log(inside) + (1.0 - y) * math.log(1.0 - inside))


def normalised(logs: Sequence[float]) -> list[float]:
    """exp(logs) as a distribution."""
    top = max(logs)
    weights = [math.exp(value - top) for value in logs]
    return [weight / math.fsum(weights) for weight in weights]


class Sequential:
    """Exponential weights with sleeping experts, K experts under each of H half-lives, updated after every round."""

    def __init__(self, policy: Policy, prior: Sequence[float], half_lives: Sequence[float] = HALF_LIVES) -> None:
        self.policy, self.prior, self.half_lives = policy, prior, half_lives
        self.regret = [[0.0] * len(prior) for _ in half_lives]
        self.squared = [[0.0] * len(prior) for _ in half_lives]
        self.lost = [0.0] * len(half_lives)
        self.seen = [[0.0] * len(prior) for _ in half_lives]
        self.rounds, self.now = 0, -math.inf

    def rate(self, h: int) -> float:
        """The learning rate of half-life h in the next round."""
        if self.policy.loss == "brier":
            return 1.0 / (2.0 * self.policy.w_max)
        if self.policy.loss == "log":
            return 1.0 / self.policy.w_max
        remembered = self.rounds if h == 0 else min(self.rounds, max(self.seen[h]))
        return math.sqrt(8.0 * math.log(len(self.prior)) / (remembered + 1.0)) / self.policy.w_max

    def weights(self, h: int, awake: Sequence[bool]) -> list[float]:
        """w[i|h] over the experts awake, 0 for the others."""
        logs = [math.log(pi) + self.rate(h) * r for pi, r in zip(self.prior, self.regret[h], strict=True)]
        some = normalised([log for log, up in zip(logs, awake, strict=True) if up])
        return [some.pop(0) if up else 0.0 for up in awake]

    def shares(self) -> list[float]:
        """v[h] of the half-lives."""
        return normalised([-self.rate(0) * lost for lost in self.lost])

    def forecasts(self, scores: Sequence[float], awake: Sequence[bool]) -> list[float]:
        """p[h] for one turn."""
        clip = CLIP if self.policy.loss == "log" else 0.0
        clipped = [min(max(score, clip), 1.0 - clip) if up else 0.0 for score, up in zip(scores, awake, strict=True)]
        return [
            math.fsum(w * p for w, p in zip(self.weights(h, awake), clipped, strict=True))
            for h in range(len(self.half_lives))
        ]

    def update(
        self, scores: Sequence[float], awake: Sequence[bool], forecasts: Sequence[float], label: int, scored_at: float
    ) -> None:
        """Learn one round; times must not decrease."""
        for h, half_life in enumerate(self.half_lives):
            decay = 1.0 if self.now == -math.inf else 2.0 ** (-(scored_at - self.now) / half_life)
            said = loss_of(self.policy, label, forecasts[h])
            self.lost[h] += said
            for i, up in enumerate(awake):
                gained = said - loss_of(self.policy, label, scores[i]) if up else 0.0
                self.regret[h][i] = self.regret[h][i] * decay + gained
                self.squared[h][i] = self.squared[h][i] * decay + gained**2
                self.seen[h][i] = self.seen[h][i] * decay + float(up)
        self.rounds, self.now = self.rounds + 1, scored_at


class Linear(Sequential):
    """Rules whose linear weights are written down as the papers have them; those asleep have none."""

    def weights(self, h: int, awake: Sequence[bool]) -> list[float]:
        linear = self.linear(h, awake)
        heard = [weight if up else 0.0 for weight, up in zip(linear, awake, strict=True)]
        if math.fsum(heard) == 0.0:
            heard = [pi if up else 0.0 for pi, up in zip(self.prior, awake, strict=True)]
        return [weight / math.fsum(heard) for weight in heard]

    def linear(self, h: int, awake: Sequence[bool]) -> list[float]:
        raise NotImplementedError

    def span(self) -> float:
        """The largest loss of a round."""
        return self.policy.w_max * (-math.log(CLIP) if self.policy.loss == "log" else 1.0)


class Mean(Linear):
    """Everybody as the prior says."""

    def linear(self, h: int, awake: Sequence[bool]) -> list[float]:
        return list(self.prior)


class Leader(Linear):
    """All for the best of those awake."""

    def linear(self, h: int, awake: Sequence[bool]) -> list[float]:
        best = max(regret for regret, up in zip(self.regret[h], awake, strict=True) if up)
        return [pi * float(regret >= best - 1e-9) for pi, regret in zip(self.prior, self.regret[h], strict=True)]


class Squint(Linear):
    """Koolen & van Erven 2015, with 16 learning rates in place of the integral."""

    def linear(self, h: int, awake: Sequence[bool]) -> list[float]:
        rates = [1.0 / (2.0 * self.span() * 2**j) for j in range(16)]
        return [
            pi * math.fsum(eta * math.exp(eta * regret - eta**2 * squared) for eta in rates)
            for pi, regret, squared in zip(self.prior, self.regret[h], self.squared[h], strict=True)
        ]


class MLpol(Linear):
    """Gaillard, Stoltz & van Erven 2014, as opera's MLpol, but for the range of the losses, which is known."""

    def linear(self, h: int, awake: Sequence[bool]) -> list[float]:
        return [
            max(regret, 0.0) / (self.span() ** 2 + squared)
            for regret, squared in zip(self.regret[h], self.squared[h], strict=True)
        ]
