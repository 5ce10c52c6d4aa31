"""Experts without a model, for tests and for benchmarks that measure everything but the models."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from experts.base import Passage, Scores


def hashed_score(passage: Passage, salt: int = 0) -> float:
    """A score in [0, 1) that depends on the role and the text alone, the same in every process and on every machine."""
    return zlib.crc32(f"{passage.role}\n{passage.text}".encode("utf-8", "surrogatepass"), salt) / 2**32


@dataclass(frozen=True, slots=True)
class InstantExpert:
    """Answers at once, with scores that follow from a hash of the passage; another `salt` makes another expert."""

    name: str = "instant"
    version: str = "1"
    salt: int = 0

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        return np.array([hashed_score(passage, self.salt) for passage in passages], np.float32)


def recalled_score(passage: Passage) -> float:
    """A score in [0, 1) that depends on the turns before it, too."""
    said = [*passage.history, (passage.role, passage.text)]
    return zlib.crc32("\0".join(f"{role}\n{text}" for role, text in said).encode("utf-8", "surrogatepass")) / 2**32


@dataclass(frozen=True, slots=True)
class RecallingExpert:
    """Answers at once, with scores that tell one history from another."""

    name: str = "recalling"
    version: str = "1"

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        return np.array([recalled_score(passage) for passage in passages], np.float32)


@dataclass(frozen=True, slots=True)
class ConstantExpert:
    """Says the same of everything: the cheapest expert there can be. NaN abstains, infinity and 2.0 are no
    probabilities.
    """

    score: float = 0.5
    name: str = "constant"
    version: str = "1"

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        return np.full(len(passages), self.score, np.float32)


def NaNExpert(name: str = "nan", version: str = "1") -> ConstantExpert:
    """Abstains on every passage."""
    return ConstantExpert(float("nan"), name, version)


@dataclass(slots=True)
class SlowExpert:
    """Answers like InstantExpert, but only once `release` is set; `entered` is set when a call is under way.

    `seconds` bounds the wait, so that a forgotten release slows a test down instead of hanging it.
    """

    seconds: float = 30.0
    name: str = "slow"
    version: str = "1"
    release: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    calls: int = 0

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        self.calls += 1
        self.entered.set()
        self.release.wait(self.seconds)
        return np.array([hashed_score(passage) for passage in passages], np.float32)


@dataclass(slots=True)
class CrashingExpert:
    """Raises on any batch with a passage that `poisonous` picks (by default: every batch); else answers like
    InstantExpert.
    """

    poisonous: Callable[[Passage], bool] = lambda passage: True
    name: str = "crashing"
    version: str = "1"
    calls: int = 0

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        self.calls += 1
        if any(map(self.poisonous, passages)):
            raise RuntimeError("this expert crashes on purpose")
        return np.array([hashed_score(passage) for passage in passages], np.float32)
