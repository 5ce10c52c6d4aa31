"""Verdicts without a broker: what the worker would decide before it has learned anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from experts.base import Passage
from experts.executor import Panel
from stream import state
from stream.conversations import given
from stream.judge import Judge
from stream.partitions import now_ms
from stream.policies import Policies
from stream.records import Turn, Verdict
from stream.roster import Roster
from stream.score import BatchSize
from stream.settings import Settings
from stream.verdicts import Arrival, verdict
from stream.view import MergedView


class OfflineScorer:
    """Decides as the score agent does, with the same functions, under the weights of moments that are all zero.

    It remembers no turn: one that comes twice is decided twice, an id used again is not noticed, and what was said
    before a turn is what its line says in `history`. `source` names the topic of the verdicts' sources; `clock` gives
    ms since 1970.
    """

    def __init__(self, settings: Settings, panel: Panel, source: str, clock: Callable[[], int] = now_ms) -> None:
        self._source = source
        self._clock = clock
        self._judge = Judge(Roster(panel), MergedView(settings), Policies(settings), clock)
        self.size = BatchSize(settings.batch_seconds)
        """How many turns to score together next, by how long the last took."""

    def score(self, turns: Sequence[tuple[int, Turn]]) -> list[Verdict]:
        """The verdict of each (offset, turn), in their order. A failing expert sleeps, and its verdicts say so."""
        began, now = time.perf_counter(), self._clock()
        arrivals = [Arrival(turn, 0, offset, now, state.digest(turn.role, turn.text)) for offset, turn in turns]
        passages = [Passage(turn.role, turn.text, given(turn)) for _, turn in turns]
        decided = self._judge.decide(arrivals, self._judge.advise(passages))
        self.size.took(len(turns), time.perf_counter() - began)
        return [verdict(turn, pending, self._source) for (_, turn), pending in zip(turns, decided, strict=True)]
