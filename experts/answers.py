"""What became of one expert's question: a score and a status a passage, and risks from an expert that tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from experts.base import ABSTAINED, OK, Expert, Opinion, Passage, Scores, Statuses
from experts.taxonomy import RISKS


@dataclass(slots=True)
class Answer:
    """One expert's column: scores float32[N], status uint8[N], the seconds that it took, and risks float32[N, R]."""

    scores: Scores
    status: Statuses
    seconds: float = 0.0
    risks: npt.NDArray[np.float32] | None = None

    def fill(self, rows: slice | npt.NDArray[np.intp], part: Answer) -> None:
        """Put the answer to some of the passages in its place."""
        self.scores[rows], self.status[rows] = part.scores, part.status
        if part.risks is not None:
            if self.risks is None:
                self.risks = unknown_risks(len(self.scores))
            self.risks[rows] = part.risks


def unknown_risks(count: int) -> npt.NDArray[np.float32]:
    """float32[N, R] that says nothing of any risk."""
    return np.full((count, len(RISKS)), np.nan, np.float32)


def asleep(count: int, status: int, seconds: float = 0.0) -> Answer:
    """The answer of an expert that says nothing of any of the passages."""
    return Answer(np.full(count, np.nan, np.float32), np.full(count, status, np.uint8), seconds)


def tells_risks(expert: Expert) -> bool:
    """Whether the expert has an opinion on risks: it says so in `tells_risks`, else it has `opine`."""
    return bool(getattr(expert, "tells_risks", hasattr(expert, "opine")))


def opinion(expert: Any, passages: Sequence[Passage]) -> Opinion:
    """What the expert says, with the risks if it tells them apart."""
    said = expert.opine(passages) if tells_risks(expert) else Opinion(expert.advise(passages))
    return said if isinstance(said, Opinion) else Opinion(said)


def checked(said: Opinion, count: int) -> Answer:
    """The expert's own arrays with everything that is no probability turned into an abstention. ValueError on a wrong
    shape.
    """
    scores = np.asarray(said.scores, np.float32)
    if scores.shape != (count,):
        raise ValueError(f"the expert answered with shape {scores.shape} to {count} passages")
    valid = (scores >= 0) & (scores <= 1)
    answer = Answer(scores, np.zeros(count, np.uint8), risks=_checked_risks(said.risks, count, valid))
    if not valid.all():
        answer.status = np.where(valid, OK, ABSTAINED).astype(np.uint8)
        answer.scores = np.where(valid, scores, np.float32(np.nan))
    return answer


def _checked_risks(
    said: npt.NDArray[np.float32] | None, count: int, awake: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32] | None:
    if said is None:
        return None
    risks = np.asarray(said, np.float32)
    if risks.shape != (count, len(RISKS)):
        raise ValueError(f"the expert gave risks of shape {risks.shape} to {count} passages")
    return np.where((risks >= 0) & (risks <= 1) & awake[:, None], risks, np.float32(np.nan))


def mean_risks(answers: Sequence[Answer], count: int) -> npt.NDArray[np.float32]:
    """The mean of what was said of each risk, float32[N, R]; NaN where nobody said anything."""
    told = [answer.risks for answer in answers if answer.risks is not None]
    if not told:
        return unknown_risks(count)
    stacked = np.stack(told)
    said = ~np.isnan(stacked)
    voices = said.sum(axis=0)
    total = np.where(said, stacked, 0).sum(axis=0)
    return np.where(voices > 0, total / np.maximum(voices, 1), np.nan).astype(np.float32)
