"""Which contexts have a regret above its bound or a loss that departed, since when, and what ended lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from stream.records import Weights

ENDED: Final = 20
"""Alarms that are over and still shown."""
SHOWN: Final = 100
"""Of those that last: a page with more of them says no more."""


class Alarms:
    """By context and what it is about."""

    def __init__(self) -> None:
        self._lasting: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._of: dict[str, set[tuple[str, str, str]]] = {}
        self._ended: deque[dict[str, Any]] = deque(maxlen=ENDED)

    def count(self, kind: str) -> int:
        """How many contexts have an alarm of a kind now: `regret`, `worse` or `better`."""
        return len({context for context, is_of, _ in self._lasting if is_of == kind})

    def look(self, told: Weights) -> None:
        """What was published of a context."""
        at = told.at.timestamp()
        now = {(told.context, kind, about): facts for kind, about, facts in _found(told)}
        before = self._of.get(told.context, set())
        for key in before - now.keys():
            self._ended.append({**self._lasting.pop(key), "until": at})
        for key, facts in now.items():
            since = self._lasting[key]["since"] if key in self._lasting else at
            context, kind, about = key
            self._lasting[key] = {"context": context, "kind": kind, "about": about, "since": since, **facts}
        if now:
            self._of[told.context] = set(now)
        else:
            self._of.pop(told.context, None)

    def forget(self, context: str) -> None:
        """A context is not shown any more."""
        for key in self._of.pop(context, set()):
            del self._lasting[key]

    def told(self) -> dict[str, Any]:
        """Those that last, regret before drift and the newest first, and those that ended, the newest first."""
        rank = {"regret": 0, "worse": 1, "better": 2}
        lasting = sorted(self._lasting.values(), key=lambda alarm: (rank[alarm["kind"]], -alarm["since"]))
        ended = sorted(self._ended, key=lambda alarm: -alarm["until"])
        return {"count": len(lasting), "lasting": lasting[:SHOWN], "ended": ended}


def _found(told: Weights) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if told.alarm:
        worst = max(told.experts, key=lambda standing: standing.regret, default=None)
        about = worst.id if worst is not None else ""
        yield "regret", about, {"regret": worst.regret if worst is not None else None, "bound": told.bound}
    seen = set()
    for departure in told.drift:
        if departure.id not in seen:  # of several half-lives the first that is told
            seen.add(departure.id)
            kind = "worse" if departure.recent > departure.long_run else "better"
            yield kind, departure.id, {"recent": departure.recent, "long_run": departure.long_run}
