"""Verdicts without a broker: what the worker would decide before it has learned anything."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from experts.base import Advice, Passage
from experts.executor import Panel
from stream import state
from stream.partitions import now_ms
from stream.policies import Policies
from stream.records import Turn, Verdict
from stream.score import BatchSize
from stream.settings import Settings
from stream.verdicts import Arrival, decide, verdict
from stream.view import MergedView


class OfflineScorer:
    """Decides as the score agent does, with the same functions, under the weights of moments that are all zero.

    It remembers no turn: one that comes twice is decided twice, and an id used again is not noticed. `source` names
    the topic of the verdicts' sources; `clock` gives ms since 1970.
    """

    def __init__(self, settings: Settings, panel: Panel, source: str, clock: Callable[[], int] = now_ms) -> None:
        self._panel = panel
        self._source = source
        self._clock = clock
        self._policies = Policies(settings)
        self._view = MergedView(settings, panel.ids)
        self.size = BatchSize(settings.batch_seconds)
        """How many turns to score together next, by how long the last took."""

    def score(self, turns: Sequence[tuple[int, Turn]]) -> list[Verdict]:
        """The verdict of each (offset, turn), in their order. A failing expert sleeps, and its verdicts say so."""
        began, now = time.perf_counter(), self._clock()
        arrivals = [Arrival(turn, 0, offset, now, state.digest(turn.role, turn.text)) for offset, turn in turns]
        advice = self._panel.advise([_passage(turn) for _, turn in turns])
        decided = self._decide(arrivals, advice)
        self.size.took(len(turns), time.perf_counter() - began)
        return [verdict(turn, decided[row], self._source) for row, (_, turn) in enumerate(turns)]

    def _decide(self, arrivals: Sequence[Arrival], advice: Advice) -> dict[int, state.Pending]:
        contexts: dict[str, list[int]] = defaultdict(list)
        for row, arrival in enumerate(arrivals):
            contexts[state.context_of(arrival.turn.tenant, arrival.turn.role)].append(row)
        now, decided = self._clock(), dict[int, state.Pending]()
        for context, rows in contexts.items():
            policy = self._policies.of(context)
            forecaster, chosen = self._view.forecaster(context, policy), [arrivals[row] for row in rows]
            pending = decide(chosen, rows, advice, self._panel.ids, forecaster, policy, now)
            decided.update(zip(rows, pending, strict=True))
        return decided


def _passage(turn: Turn) -> Passage:
    return Passage(turn.role, turn.text, tuple((earlier.role, earlier.text) for earlier in turn.history))
