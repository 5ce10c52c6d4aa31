"""From turns to decisions, on a broker and without one: what experts advise, weighed as the contexts have learned."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from experts.base import Advice, Passage
from stream.policies import Policies
from stream.records import Role
from stream.roster import Roster
from stream.state import Pending, context_of
from stream.verdicts import Arrival, decide
from stream.view import MergedView

BUSY_SECONDS = 0.01
"""Of deciding without a chance for the rest of the worker."""


class Judge:
    """Asks the panel, and decides under the policy and weights of each turn's context. `clock` gives ms since 1970."""

    def __init__(self, roster: Roster, view: MergedView, policies: Policies, clock: Callable[[], int]) -> None:
        self._roster = roster
        self._view = view
        self._policies = policies
        self._clock = clock

    def advise(self, passages: Sequence[Passage]) -> Advice:
        """What the experts say, a row a turn. Blocks while they compute."""
        return self._roster.advise(passages)

    def decide(self, arrivals: Sequence[Arrival], advice: Advice) -> list[Pending]:
        """The pending record of each arrival, in their order; all are decided at one time. `advice` is the last that
        was asked for."""
        decided: dict[int, Pending] = {}
        for some in self._by_context(arrivals, advice):
            decided.update(some)
        return [decided[row] for row in range(len(arrivals))]

    async def decide_beside(self, arrivals: Sequence[Arrival], advice: Advice) -> list[Pending]:
        """The same, with a chance for the rest of the worker now and then: turns of many contexts take long."""
        decided: dict[int, Pending] = {}
        since = time.perf_counter()
        for some in self._by_context(arrivals, advice):
            decided.update(some)
            if time.perf_counter() - since > BUSY_SECONDS:
                await asyncio.sleep(0)
                since = time.perf_counter()
        return [decided[row] for row in range(len(arrivals))]

    def _by_context(self, arrivals: Sequence[Arrival], advice: Advice) -> Iterator[Iterable[tuple[int, Pending]]]:
        """Row and record of the turns of one context after the other."""
        contexts: dict[tuple[str, Role], list[int]] = defaultdict(list)
        for row, arrival in enumerate(arrivals):
            contexts[arrival.turn.tenant, arrival.turn.role].append(row)
        now, experts, voters = self._clock(), self._roster.ids, self._roster.voters
        for (tenant, role), rows in contexts.items():
            context = context_of(tenant, role)
            policy = self._policies.of(context)
            forecaster = self._view.forecaster(context, policy, voters)
            chosen = [arrivals[row] for row in rows]
            policy = self._view.deciding(context, policy)
            yield zip(rows, decide(chosen, rows, advice, experts, forecaster, policy, now), strict=True)
