"""What travels through a trunk's pipeline: a caller's question, its passages one by one, and the model's output."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from experts.answers import Answer, asleep
from experts.base import ABSTAINED, ERROR, TIMEOUT, Passage
from experts.served import OnnxExpert


@dataclass(eq=False, slots=True)
class Call:
    """A caller's passages and what the experts have said of them so far; `done` is set when that is all.

    `awake` is bool[N, K]: which of the K experts reads turns of the passage's role. `left` counts the passages that
    nothing is known of. Once `abandoned`, the answers belong to the caller: nobody else may write to them.
    """

    passages: Sequence[Passage]
    experts: tuple[OnnxExpert[Any], ...]
    awake: npt.NDArray[np.bool_]
    answers: list[Answer]
    left: int
    began: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False

    @classmethod
    def of(cls, passages: Sequence[Passage], experts: tuple[OnnxExpert[Any], ...]) -> Call:
        """As long as nothing is known of a passage, its status is TIMEOUT, or ABSTAINED where an expert does not read
        turns of its role.
        """
        by_role = {role: [expert.wakes(role) for expert in experts] for role in {p.role for p in passages}}
        awake = np.array([by_role[passage.role] for passage in passages])
        answers = [asleep(len(passages), TIMEOUT) for _ in experts]
        for answer, reads in zip(answers, awake.T, strict=True):
            answer.status[~reads] = ABSTAINED
        return cls(passages, experts, awake, answers, len(passages))

    def settle(self, rows: Sequence[int]) -> None:
        """All is known of these passages."""
        self.left -= len(rows)
        if not self.left:
            self._finish()

    def sleep_on(self, rows: Sequence[int], status: int) -> None:
        """No expert says anything of these passages, for this reason."""
        for answer, reads in zip(self.answers, self.awake.T, strict=True):
            answer.status[[row for row in rows if reads[row]]] = status
        self.settle(rows)

    def give_up(self, failed: bool = False) -> None:
        """Leave it at what is known; with `failed`, the rest is an ERROR of the experts and not a TIMEOUT."""
        if failed:
            for answer in self.answers:
                answer.status[answer.status == TIMEOUT] = ERROR
        self.abandoned = True
        self._finish()

    def _finish(self) -> None:
        seconds = time.monotonic() - self.began
        for answer in self.answers:
            answer.seconds = seconds
        self.done.set()


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A call's passage as numbers; `number` is its place in the order of coming, `length` what it costs."""

    call: Call
    row: int
    encoded: Any
    length: int
    number: int

    @property
    def departed(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.call.abandoned


@dataclass(frozen=True, slots=True)
class Output:
    """What the model made of some pieces, float32[N, D]."""

    pieces: Sequence[Piece]
    features: npt.NDArray[np.float32]


@dataclass(slots=True)
class Work:
    """What a stage is doing now. `given_up`: a caller has lost patience with it."""

    calls: frozenset[Call]
    given_up: bool = False
