"""From turns to decisions, on a broker and without one: what experts advise, weighed as the contexts have learned."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from experts.base import Advice, Passage
from experts.executor import Panel
from stream.policies import Policies
from stream.records import Role, Turn
from stream.state import Pending, context_of
from stream.verdicts import Arrival, decide
from stream.view import MergedView


class Judge:
    """Asks the panel, and decides under the policy and weights of each turn's context. `clock` gives ms since 1970."""

    def __init__(self, panel: Panel, view: MergedView, policies: Policies, clock: Callable[[], int]) -> None:
        self._panel = panel
        self._view = view
        self._policies = policies
        self._clock = clock

    def advise(self, arrivals: Sequence[Arrival]) -> Advice:
        """What the experts say, a row a turn. Blocks while they compute."""
        return self._panel.advise([_passage(arrival.turn) for arrival in arrivals])

    def decide(self, arrivals: Sequence[Arrival], advice: Advice) -> list[Pending]:
        """The pending record of each arrival, in their order; all are decided at one time."""
        contexts: dict[tuple[str, Role], list[int]] = defaultdict(list)
        for row, arrival in enumerate(arrivals):
            turn = arrival.turn
            contexts[turn.tenant, turn.role].append(row)
        now, decided = self._clock(), dict[int, Pending]()
        for (tenant, role), rows in contexts.items():
            context = context_of(tenant, role)
            policy = self._policies.of(context)
            forecaster, chosen = self._view.forecaster(context, policy), [arrivals[row] for row in rows]
            pending = decide(chosen, rows, advice, self._panel.ids, forecaster, policy, now)
            decided.update(zip(rows, pending, strict=True))
        return [decided[row] for row in range(len(arrivals))]


def _passage(turn: Turn) -> Passage:
    history = tuple([(u.role, u.text) for u in turn.history]) if turn.history else ()
    return Passage(turn.role, turn.text, history)
