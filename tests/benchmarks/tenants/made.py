"""The moments of many tenants, made up: few are large, most have tens of labels, and each label is in one partition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from ensemble import HALF_LIVES, Moments, Rounds, fold, zero

EXPERTS = tuple(f"expert{number}@1.0.{number}" for number in range(6))
ROLES = {"user": 0.55, "assistant": 0.42, "system": 0.03}
"""Which share of the labels each has."""
LARGEST = 100_000
"""Labels of the largest tenant; the one of rank r has LARGEST / r, by Zipf's law, and at least LEAST."""
LEAST = 10
SMALL = 100
"""Labels of a tenant that is called small, at most: nine tenants of ten."""
POOLED, POOL = 30, 300
"""Parts of up to POOLED labels are drawn from POOL different ones of as many labels: making each would take minutes.
Each is packed by itself, so that equal ones make nothing smaller."""
CLASSES = (0.6, 0.15, 0.25)
START, SPAN = 1_760_000_000.0, 30 * 86_400.0
"""Unix seconds, and the month over which labels came."""
LEARNED_BY = 20.0
"""Labels after which the half-lives weigh the experts as differently as they will."""


@dataclass(frozen=True)
class MadePart:
    """What one partition has learned of one context."""

    context: str
    partition: int
    moments: Moments


def labels_of(rank: int) -> int:
    """Labels of the tenant of this rank, from 1 on."""
    return max(LEAST, LARGEST // rank)


def parts(tenants: int, partitions: int) -> Iterator[MadePart]:
    """Those that exist: a tenant with few labels has learned in few partitions."""
    for rank in range(1, tenants + 1):
        chance = np.random.default_rng(rank)
        of_role = chance.multinomial(labels_of(rank), list(ROLES.values()))
        for role, labels in zip(ROLES, of_role.tolist(), strict=True):
            counts = chance.multinomial(labels, [1.0 / partitions] * partitions)
            for partition, count in enumerate(counts.tolist()):
                if count:
                    made = _made(chance, count) if count > POOLED else _pooled(count, int(chance.integers(POOL)))
                    yield MadePart(f"tenant-{rank:05}/{role}", partition, made)


@cache
def _pooled(count: int, number: int) -> Moments:
    return _made(np.random.default_rng((count, number)), count)


def _made(chance: np.random.Generator, count: int) -> Moments:
    return fold(zero(EXPERTS), rounds(chance, count))


def rounds(chance: np.random.Generator, count: int, start: float = START, span: float = SPAN) -> Rounds:
    """Labelled rounds over `span` seconds. Scores are float32, as in pending records; the first of a context are
    forecast alike under every half-life, later ones less and less."""
    label = chance.choice(len(CLASSES), count, p=CLASSES)
    scores = np.clip(chance.beta(0.6, 2.0, (count, len(EXPERTS))) + 0.3 * (label == 2)[:, None], 0.0, 1.0)
    scores = scores.astype(np.float32).astype(np.float64)
    used = np.arange(count, dtype=np.float64)
    leaning = chance.normal(0.0, 1.0, (len(HALF_LIVES), len(EXPERTS)))
    weights = np.exp(leaning * np.minimum(1.0, used / LEARNED_BY)[:, None, None])
    weights /= weights.sum(axis=-1, keepdims=True)
    forecasts = np.minimum((weights * scores[:, None]).sum(axis=-1), 1.0)
    published = np.minimum(forecasts.mean(axis=-1), 1.0)
    at = np.round(np.sort(start + chance.uniform(0.0, span, count)), 3)
    return Rounds.of(scores, np.ones(scores.shape, np.bool_), forecasts, published, label, at, used=used)
