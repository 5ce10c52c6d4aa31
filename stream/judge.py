"""From turns to decisions, on a broker and without one: what experts advise, weighed as the contexts have learned."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from experts.base import Advice, Passage
from stream.policies import Policies
from stream.records import Role
from stream.roster import Roster
from stream.state import Pending, context_of
from stream.verdicts import Arrival, decide
from stream.view import MergedView


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
        """The pending record of each arrival, in their order; all are decided at one time. `advice` is the
        last that was asked for."""
        contexts: dict[tuple[str, Role], list[int]] = defaultdict(list)
        for row, arrival in enumerate(arrivals):
            turn = arrival.turn
            contexts[turn.tenant, turn.role].append(row)
        now, decided = self._clock(), dict[int, Pending]()
        for (tenant, role), rows in contexts.items():
            context = context_of(tenant, role)
            policy = self._policies.of(context)
            forecaster = self._view.forecaster(context, policy, self._roster.voters)
            chosen = [arrivals[row] for row in rows]
            policy = self._view.deciding(context, policy)
            pending = decide(chosen, rows, advice, self._roster.ids, forecaster, policy, now)
            decided.update(zip(rows, pending, strict=True))
        return [decided[row] for row in range(len(arrivals))]
