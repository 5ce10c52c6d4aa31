"""Streams that try to break the bound on regret: who advises what, which label comes, and how late it arrives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ensemble import Forecaster, Moments, Policy, Rounds, blend, fold, shadow_of, zero
from support.rounds import NOON
from support.textbook import loss_of

Floats = NDArray[np.float64]
Advise = Callable[[np.random.Generator, int, int], tuple[Floats, NDArray[np.bool_]]]
Judge = Callable[[np.random.Generator, int, float, Policy], int]
Delay = Callable[[np.random.Generator, int], int]
Votes = Callable[[int, int], NDArray[np.bool_]]


def constants(rng: np.random.Generator, turn: int, experts: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Experts who never change their mind: 0, ..., 1. The hardest panel for labels that alternate."""
    return np.linspace(0.0, 1.0, experts), np.ones(experts, np.bool_)


def noise(rng: np.random.Generator, turn: int, experts: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Experts who guess."""
    return rng.beta(0.4, 0.4, experts), np.ones(experts, np.bool_)


def sleepy_constants(rng: np.random.Generator, turn: int, experts: int) -> tuple[Floats, NDArray[np.bool_]]:
    """The same constants, each asleep in half of the turns, in long stretches of its own."""
    awake = (turn // (7 + 3 * np.arange(experts))) % 2 == 0
    awake[turn % experts] = True
    return np.linspace(0.0, 1.0, experts), awake


def against(rng: np.random.Generator, turn: int, score: float, policy: Policy) -> int:
    """The class on which the score that was published costs most."""
    return max(range(3), key=lambda label: loss_of(policy, label, score))


def in_blocks(rng: np.random.Generator, turn: int, score: float, policy: Policy) -> int:
    """Safe for 40 turns, unsafe for 40 turns: with a delay of 40 all that is learned comes when it is wrong."""
    return 0 if (turn // 40) % 2 else 2


def turning(rng: np.random.Generator, turn: int, score: float, policy: Policy) -> int:
    """Mostly safe for 150 turns, then always unsafe: the best expert becomes the worst."""
    return int(rng.random() < 0.1) if turn < 150 else 2


def at_random(rng: np.random.Generator, turn: int, score: float, policy: Policy) -> int:
    """Any class."""
    return int(rng.integers(0, 3))


def everyone(turn: int, experts: int) -> NDArray[np.bool_]:
    """Nobody is a shadow."""
    return np.ones(experts, np.bool_)


def in_turn(turn: int, experts: int) -> NDArray[np.bool_]:
    """Each is a shadow for long stretches of its own, most of all in the beginning; one always votes."""
    votes: NDArray[np.bool_] = np.equal((turn // (23 + 11 * np.arange(experts))) % 2, 1)
    votes[(turn // 50) % experts] = True
    return votes


def after(turns: int) -> Delay:
    """Labels that arrive after this many further turns."""
    return lambda rng, turn: turns


def within(turns: int) -> Delay:
    """Labels that arrive after up to this many further turns, in any order."""
    return lambda rng, turn: int(rng.integers(0, turns + 1))


@dataclass
class Stream:
    """One made-up stream, and the worker's loop over it: forecast, publish, and fold what arrives."""

    policy: Policy
    advise: Advise
    judge: Judge
    delay: Delay
    experts: int = 4
    seed: int = 0
    labelled_with: float = 1.0
    """The probability that a turn is chosen for labelling, of which q is the inverse."""
    prior: Floats | None = None
    pace_s: float = 60.0
    """Seconds from turn to turn."""
    votes: Votes = everyone
    """Who is no shadow in a turn."""
    step: int = 1
    """Turns that are decided from the same weights, before the labels that are due by then are read."""
    inherits: bool = False
    """Whether the prior is another one in every step until the first label is read, and that of then for ever."""

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.panel = tuple(f"expert-{index}@1" for index in range(self.experts))
        self.shadows = tuple(map(shadow_of, self.panel)) if self.votes is not everyone else ()
        self.moments = zero(self.panel + self.shadows)
        self.turn = 0
        self.everything = zero(self.moments.experts)
        """The moments of all turns, labelled or not."""
        self._arriving: dict[int, list[Rounds]] = defaultdict(list)

    def run(self, turns: int) -> Iterator[Moments]:
        """The moments after each step of the turns. Labels may still be out at the end."""
        for _ in range(0, turns, self.step):
            decided, chosen = self._decide()
            late = [self.delay(self.rng, turn) for turn in range(self.turn, self.turn + self.step)]
            due = self.step * -(-(np.arange(self.turn + 1, self.turn + self.step + 1) + late) // self.step)
            for turn in np.unique(due[chosen]):
                self._arriving[int(turn)].append(decided.select(chosen & (due == turn)))
            self.turn += self.step
            self._learn(self._arriving.pop(self.turn, []))
            yield self.moments

    def drain(self) -> Moments:
        """The moments when every label has arrived."""
        self._learn([rounds for due in sorted(self._arriving) for rounds in self._arriving[due]])
        self._arriving.clear()
        return self.moments

    def _decide(self) -> tuple[Rounds, NDArray[np.bool_]]:
        """The rounds of one step, and of which of them the label is asked for."""
        turns = range(self.turn, self.turn + self.step)
        if self.inherits and self.moments.rounds == 0:
            self.prior = blend(self.rng.dirichlet(np.full(self.experts, 0.1)))
        advised = [self.advise(self.rng, turn, self.experts) for turn in turns]
        scores, awake = (np.stack(rows) for rows in zip(*advised, strict=True))
        votes = awake & np.stack([self.votes(turn, self.experts) for turn in turns])
        forecaster = Forecaster.of(self.moments, self.policy, self.panel, self.prior)
        said = forecaster.forecast(scores, votes)
        shown = zip(turns, said.published.tolist(), strict=True)
        labels = [self.judge(self.rng, turn, score, self.policy) for turn, score in shown]
        rounds = Rounds.of(
            *self._rows(scores, awake, votes),
            said.forecasts,
            said.published,
            labels,
            NOON + self.pace_s * np.array(turns),
            used=forecaster.used,
            q=1.0 / self.labelled_with,
        )
        if self.labelled_with < 1.0:
            self.everything = fold(self.everything, replace(rounds, q=np.ones(self.step)))
        return rounds, self.rng.random(self.step) < self.labelled_with

    def _rows(
        self, scores: Floats, awake: NDArray[np.bool_], votes: NDArray[np.bool_]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Scores and who advised, for the rows of the moments. With nobody to vote there is no forecast to learn
        from."""
        if not self.shadows:
            return scores, votes
        beside = awake & ~votes & votes.any(axis=1, keepdims=True)
        return np.concatenate([scores, scores], axis=1), np.concatenate([votes, beside], axis=1)

    def _learn(self, arrived: list[Rounds]) -> None:
        if arrived:
            names = Rounds.__dataclass_fields__
            together = Rounds(*(np.concatenate([getattr(rounds, name) for rounds in arrived]) for name in names))
            self.moments = fold(self.moments, together)


def tide(turn: int) -> int:
    """Of 61 turns, 0 is right on 36, then 1 on 24, and on the last one 0 again."""
    return 2 if 36 <= turn % 61 < 60 else 0


def tide_and_a_sleeper(rng: np.random.Generator, turn: int, experts: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Two constants, and an expert that wakes on the last turn of each tide and is right."""
    return np.array([0.0, 1.0, 0.0]), np.array([True, True, turn % 61 == 60])


def with_the_tide(rng: np.random.Generator, turn: int, score: float, policy: Policy) -> int:
    """The class of the tide."""
    return tide(turn)
