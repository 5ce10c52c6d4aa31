"""Every context that was seen: what is shown of it in a list, and where more of it is kept."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from stream.console.live import wire
from stream.console.live.history import History, worst_regret
from stream.console.live.wire import SeenVerdict
from stream.records import Weights

MOST: Final = 50_000
"""Contexts kept, those used last: a producer that invents tenants without end must not fill the memory."""
FADING: Final = 60.0
"""Seconds over which a context's traffic is averaged."""


class Context:
    """One context. Losses and regret are those of `weights.v1`, NaN before the first label."""

    __slots__ = (
        "_decayed", "_decayed_at", "alarm", "at", "bound", "drift", "history", "leader", "leads", "loss", "name",
        "policy", "record", "regret", "rounds", "unsafe", "verdicts",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.policy = ""
        self.verdicts = 0
        self.unsafe = 0
        self.record: bytes | None = None
        """What was published of it last, as it stands in the topic."""
        self.rounds = 0
        self.loss = self.regret = self.bound = math.nan
        self.alarm = False
        self.drift = 0
        self.leader = ""
        self.leads = 0.0
        self.at = 0.0
        self.history: History | None = None
        self._decayed = 0.0
        self._decayed_at = 0.0

    def decided(self, label: str, at: float) -> None:
        """A verdict came in it, at `at` seconds since 1970."""
        self.verdicts += 1
        self.unsafe += label == "unsafe"
        if at > self._decayed_at:
            self._decayed *= math.exp((self._decayed_at - at) / FADING)
            self._decayed_at = at
        self._decayed += 1.0

    def rate(self, now: float) -> float:
        """Verdicts a second of late."""
        return self._decayed * math.exp(min(self._decayed_at - now, 0.0) / FADING) / FADING

    @property
    def ratio(self) -> float:
        """Regret, of its bound; NaN where nothing is guaranteed or known."""
        return self.regret / self.bound if self.bound > 0.0 else math.nan

    def learned(self, told: Weights, record: bytes) -> None:
        """Something was published of it."""
        self.record = record
        self.policy = told.policy
        self.rounds = told.rounds
        counted = told.rounds - told.since_rounds
        self.loss = told.ensemble_loss / counted if counted > 0 else math.nan
        self.regret = worst_regret(told)
        self.bound = math.nan if told.bound is None else told.bound
        self.alarm = told.alarm
        self.drift = len(told.drift)
        self.at = told.at.timestamp()
        if told.experts:
            best = max(told.experts, key=lambda standing: standing.weight)
            self.leader, self.leads = best.id, best.weight
        if self.history is None:
            self.history = History(self.at)
        self.history.add(told)

    def row(self, now: float) -> list[Any]:
        """What a list shows, in the order of COLUMNS."""
        return [
            self.name, self.policy, round(self.rate(now), 3), self.verdicts, self.unsafe, self.rounds,
            _known(self.loss), _known(self.regret), _known(self.bound), self.alarm, self.drift, self.leader,
            round(self.leads, 4), round(self.at, 1),
        ]  # fmt: skip


COLUMNS: Final = (
    "name", "policy", "rate", "verdicts", "unsafe", "rounds", "loss", "regret", "bound", "alarm", "drift", "leader",
    "leads", "at",
)  # fmt: skip


class Contexts:
    """By name, those used last at the end. `changes` counts what a list may have to show anew."""

    def __init__(self, dropped: Callable[[Context], None] = lambda context: None) -> None:
        self.known: OrderedDict[str, Context] = OrderedDict()
        self.dropped = 0
        self.changes = 0
        self._on_drop = dropped
        self._ordered: tuple[tuple[str, str, int], list[Context]] | None = None

    def __len__(self) -> int:
        return len(self.known)

    def decided(self, verdict: SeenVerdict, at: float) -> None:
        """A verdict came, at `at` seconds since 1970."""
        self.changes += 1
        context = self._of(verdict.context)
        context.policy = context.policy or verdict.policy
        context.decided(verdict.label, at)

    def learned(self, told: Weights, record: bytes) -> Context:
        """Something was published of a context."""
        self.changes += 1
        context = self._of(told.context)
        context.learned(told, record)
        return context

    def gone(self, name: str) -> None:
        """A tombstone: nothing is known of it any more."""
        context = self.known.pop(name, None)
        if context is not None:
            self.changes += 1
            self._on_drop(context)

    def _of(self, name: str) -> Context:
        found = self.known.get(name)
        if found is None:
            found = self.known[name] = Context(name)
            if len(self.known) > MOST:
                self.dropped += 1
                self._on_drop(self.known.popitem(last=False)[1])
        else:
            self.known.move_to_end(name)
        return found

    def page(self, query: str, sort: str, offset: int, limit: int, now: float) -> tuple[int, list[list[Any]]]:
        """How many contexts have `query` in their name, and the rows from `offset` on, in the order that `sort` names:
        a key of ORDERS, with a `-` before it for the largest first. Raises KeyError for an order that is not there."""
        asked = (query.casefold(), sort, int(now))  # sorted once a second, however many ask
        if self._ordered is None or self._ordered[0] != asked:
            self._ordered = asked, _sorted(self.known.values(), asked[0], sort, now)
        found = self._ordered[1]
        return len(found), [context.row(now) for context in found[offset : offset + limit]]


def _sorted(contexts: Iterable[Context], query: str, sort: str, now: float) -> list[Context]:
    order = ORDERS[sort.removeprefix("-")]
    wanted = [context for context in contexts if query in context.name.casefold()]
    wanted.sort(key=lambda context: context.name)
    wanted.sort(key=lambda context: order(context, now), reverse=sort.startswith("-"))
    return wanted


def _least(value: float) -> float:
    """What is not known comes behind all that is, the largest first."""
    return -math.inf if math.isnan(value) else value


ORDERS: Final[dict[str, Callable[[Context, float], Any]]] = {
    "name": lambda context, now: context.name,
    "rate": lambda context, now: context.rate(now),
    "unsafe": lambda context, now: context.unsafe / context.verdicts if context.verdicts else -1.0,
    "rounds": lambda context, now: context.rounds,
    "loss": lambda context, now: _least(context.loss),
    "ratio": lambda context, now: _least(context.ratio),
    "leads": lambda context, now: context.leads,
    "attention": lambda context, now: (context.alarm, context.drift, context.rounds, context.verdicts),
}


def detail(context: Context, now: float) -> dict[str, Any]:
    """All that is known of one context: its row by name, what was published last, and how it came there."""
    found: dict[str, Any] = dict(zip(COLUMNS, context.row(now), strict=True))
    found["told"] = None if context.record is None else wire.weights.decode(context.record)
    found["history"] = None if context.history is None else context.history.told()
    return found


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.5g}")
