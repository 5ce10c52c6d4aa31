"""Every guarantee of the ensemble, with the streams that try to break it: what share of its bound a regret reaches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from ensemble import PERMISSIVE, Moments, Policy, eta, report
from ensemble.losses import span
from ensemble.rules import regrets
from support import adversaries
from support.adversaries import Stream
from support.rounds import READINGS

BRIER, ABSOLUTE, LOG = READINGS[2], READINGS[3], READINGS[4]
DELAYS: Final = (0, 50, 500, 5000)
"""Turns until a label arrives."""
CHECKS: Final = 20
"""How often regret is compared with its bound while a stream runs, beside once at its end."""
SEEDS: Final = 4
"""Streams over which an expected regret is the mean."""

STREAMS: Final = (
    (adversaries.constants, adversaries.against),
    (adversaries.constants, adversaries.in_blocks),
    (adversaries.sleepy_constants, adversaries.against),
    (adversaries.noise, adversaries.at_random),
)
Measure = Callable[[Stream, int], float]


@dataclass(frozen=True, slots=True)
class Guarantee:
    """A bound and where it is said to hold; `measure` runs a stream and answers the largest regret / bound in it."""

    name: str
    policy: Policy
    measure: Measure
    delays: tuple[int, ...] = DELAYS
    setup: dict[str, object] = field(default_factory=dict)
    """Of the stream."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A guarantee and one stream with one delay."""

    guarantee: Guarantee
    delay: int
    advise: adversaries.Advise
    judge: adversaries.Judge

    @property
    def stream(self) -> str:
        return f"{self.advise.__name__}, {self.judge.__name__}".replace("_", " ")

    def ratio(self, turns: int) -> float:
        """The worst regret / bound over at least this many turns; longer where labels would never come in them."""
        step = max(1, self.delay // 10)
        late = adversaries.within if self.advise is adversaries.noise else adversaries.after
        stream = Stream(
            self.guarantee.policy,
            self.advise,
            self.judge,
            late(self.delay),
            step=step,
            **self.guarantee.setup,  # type: ignore[arg-type]
        )
        return self.guarantee.measure(stream, max(turns, self.delay + self.delay // 2))


def trials(delays: tuple[int, ...] = DELAYS) -> Iterator[Trial]:
    """Every guarantee on every stream, for those of these delays for which it is said to hold."""
    for guarantee in GUARANTEES:
        for delay in guarantee.delays:
            for advise, judge in STREAMS:
                if delay in delays:
                    yield Trial(guarantee, delay, advise, judge)


def checkpoints(stream: Stream, turns: int) -> Iterator[Moments]:
    """The moments now and then, and when every label has come."""
    every = max(1, turns // stream.step // CHECKS)
    for number, moments in enumerate(stream.run(turns)):
        if number % every == 0:
            yield moments
    yield stream.drain()


def reported(stream: Stream, turns: int) -> float:
    """By the report, in every checkpoint. A bound of inf proves nothing, so it counts as broken."""
    return max(_told(moments, stream) for moments in checkpoints(stream, turns))


def since_a_change(stream: Stream, turns: int) -> float:
    """The same since a change from a policy under which unsafe was right where it is wrong now."""
    now = stream.policy
    stream.policy = replace(now, targets=(1.0, 0.0, 0.0), costs=(5.0, 1.0, 1.0))
    *_, baseline = stream.run(turns // 3)
    stream.policy = now
    return max(_told(moments, stream, baseline) for moments in checkpoints(stream, turns))


def discounted(stream: Stream, turns: int) -> float:
    """Of each half-life's own forecast, decayed by it: ln K / eta + eta w^2 / (8 (1 - lambda))."""
    rate = float(eta(stream.policy, 0, stream.experts))
    kept = np.exp2(-stream.pace_s / np.array(stream.moments.half_lives[1:]))
    bounds = math.log(stream.experts) / rate + rate * span(stream.policy) ** 2 / 8.0 / (1.0 - kept)
    worst = 0.0
    for moments in checkpoints(stream, turns):
        worst = max(worst, float((regrets(moments, stream.policy)[1:].max(axis=-1) / bounds).max()))
    return worst


def expected(stream: Stream, turns: int) -> float:
    """Of sampled labels: the mean regret over all turns, labelled or not, by the mean of the bounds."""
    regret, bounds = np.zeros(stream.experts), np.zeros(stream.experts)
    for seed in range(SEEDS):
        one = replace(stream, seed=seed)
        list(one.run(turns))
        bounds += report(one.drain(), one.policy).bounds
        regret += report(one.everything, one.policy).regret
    return _share(regret, bounds)


def _told(moments: Moments, stream: Stream, baseline: Moments | None = None) -> float:
    told = report(moments, stream.policy, baseline=baseline, prior=stream.prior)
    return _share(told.regret, told.bounds)


def _share(regret: adversaries.Floats, bounds: adversaries.Floats) -> float:
    return float((regret / np.maximum(bounds, 1e-9)).max()) if np.isfinite(bounds).all() else math.inf


def _by(rule: str, *policies: Policy, **change: object) -> list[Policy]:
    return [replace(policy, forecaster=rule, **change) for policy in policies]  # type: ignore[arg-type]


SAMPLED: Final[dict[str, object]] = {"labelled_with": 0.2}
WRONG: Final[dict[str, object]] = {"prior": np.array([0.97, 0.01, 0.01, 0.01])}
MOVING: Final[dict[str, object]] = {"inherits": True}
ALL: Final = (BRIER, ABSOLUTE, LOG)

GUARANTEES: Final = (
    *(Guarantee("exponential weights", policy, reported) for policy in ALL),
    *(Guarantee("a prior that bets on one", policy, reported, setup=WRONG) for policy in ALL),
    *(Guarantee("an inherited prior", policy, reported, setup=MOVING) for policy in (BRIER, ABSOLUTE)),
    *(Guarantee("one label in five", policy, reported, setup=SAMPLED) for policy in (BRIER, LOG)),
    Guarantee("one in five, expected", BRIER, expected, setup=SAMPLED),
    *(Guarantee("since a policy change", policy, since_a_change) for policy in ALL),
    *(Guarantee("discounted", policy, discounted, (0,)) for policy in (PERMISSIVE, LOG)),
    *(Guarantee("Squint", policy, reported) for policy in _by("squint", *ALL)),
    *(Guarantee("Squint, inherited prior", policy, reported, setup=MOVING) for policy in _by("squint", BRIER)),
    *(Guarantee("Squint, one in five", p, reported, setup=SAMPLED) for p in _by("squint", BRIER, LOG, ask=0.2)),
    *(Guarantee("Squint, since a change", policy, since_a_change) for policy in _by("squint", *ALL)),
    *(Guarantee("MLpol", policy, reported, (0,)) for policy in _by("mlpol", *ALL)),
    *(Guarantee("MLpol, one in five", p, reported, (0,), SAMPLED) for p in _by("mlpol", BRIER, LOG, ask=0.2)),
    *(Guarantee("MLpol, since a change", policy, since_a_change, (0,)) for policy in _by("mlpol", *ALL)),
)
"""The table "What is guaranteed", and what the other rules add to it."""
