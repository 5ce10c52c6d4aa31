"""The labelled rows as streams: one shuffled, and ones that drift from phase to phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.streams.scores import Scores, Texts
from ensemble import DEFENSIVE, PERMISSIVE, Policy
from experts.figures import Floats, Labels

Places = npt.NDArray[np.intp]
MAIN: Final = "aegis2_validation"
ADVERSARIAL: Final = "hatecheck"


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a stream with one kind of rows under one policy."""

    name: str
    policy: Policy
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """Its place in the stream."""
        return slice(self.start, self.stop)


@dataclass(frozen=True, eq=False, slots=True)
class Course:
    """N turns in the order in which they come."""

    experts: Texts
    """[K]"""
    scores: Floats
    """[N, K], NaN where the expert slept."""
    label: npt.NDArray[np.uint8]
    """[N]"""
    role: Texts
    """[N]"""
    phases: tuple[Phase, ...]

    @property
    def awake(self) -> Labels:
        """[N, K]"""
        return np.isfinite(self.scores)

    @property
    def mean(self) -> Floats:
        """[N] of those awake."""
        return np.asarray(np.nanmean(self.scores, axis=1))

    @property
    def filled(self) -> Floats:
        """[N, K] with the mean of those awake where an expert slept: for rules that know no sleep."""
        return np.where(self.awake, self.scores, self.mean[:, None])

    @property
    def target(self) -> Floats:
        """[N] of each row under the policy of its phase."""
        return np.concatenate([np.array(one.policy.targets)[self.label[one.rows]] for one in self.phases])


def shuffled(found: Scores, seed: int) -> Course:
    """Every row once, in random order, permissive."""
    order = np.random.default_rng(seed).permutation(len(found.label))
    return _course(found, [("everything", PERMISSIVE, order)])


def drifting(found: Scores, seed: int, turns: int | None = None) -> Course:
    """Users, permissive, then defensive; then replies; then adversarial functional tests of hate: no labelled set of
    jailbreaks is at hand. Every row once, or `turns` of each phase, drawn with replacement, so that labels at a low
    rate are enough to learn from.
    """
    chance = np.random.default_rng(seed)
    half = chance.permutation(np.flatnonzero((found.source == MAIN) & (found.role == "user")))
    parts = [
        ("users", PERMISSIVE, half[: len(half) // 2]),
        ("users, defensive", DEFENSIVE, half[len(half) // 2 :]),
        ("replies", DEFENSIVE, chance.permutation(np.flatnonzero(found.role == "assistant"))),
        ("hatecheck", DEFENSIVE, chance.permutation(np.flatnonzero(found.source == ADVERSARIAL))),
    ]
    if turns is not None:
        parts = [(name, policy, chance.choice(places, turns)) for name, policy, places in parts]
    return _course(found, parts)


def _course(found: Scores, parts: Sequence[tuple[str, Policy, Places]]) -> Course:
    order = np.concatenate([places for _, _, places in parts])
    ends = np.cumsum([len(places) for _, _, places in parts]).tolist()
    starts = [0, *ends[:-1]]
    phases = [Phase(name, policy, a, b) for (name, policy, _), a, b in zip(parts, starts, ends, strict=True)]
    return Course(found.experts, found.scores[order], found.label[order], found.role[order], tuple(phases))
