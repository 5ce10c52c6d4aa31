"""Everything that the live page shows, in bounded memory: records and looks go in, parts of a page come out.

One loop owns it; nothing here waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import nlargest
from itertools import pairwise
from typing import Any, Final

import msgspec

from stream.codecs import UNREADABLE
from stream.console.live import wire
from stream.console.live.advice import STATUSES, Advice
from stream.console.live.alarms import Alarms
from stream.console.live.assessment import Figures, assess
from stream.console.live.contexts import Context, Contexts, detail
from stream.console.live.costs import Costs
from stream.console.live.lag import Lag, Look
from stream.console.live.letters import Letters
from stream.console.live.link import Link
from stream.console.live.reliability import Reliability
from stream.console.live.standings import Standings
from stream.console.live.traffic import CAUTION, LABELS, LETTERS, OF_LABEL, SAFE, TURNS, UNSAFE, UNSCORED, Traffic
from stream.expert_modes import Wishes
from stream.routing import TRIES
from stream.settings import Settings
from stream.topics import TopicNames

SHORT, LONG = 10.0, 300.0
"""Seconds over which a rate is told, and over which things are judged."""
CLOSEST: Final = 5
"""Contexts that are named for their regret."""
UNEVEN: Final = 10.0
"""Seconds between two looks, above which it is not known when the turns between them came."""


class Live:
    """All aggregates of one console."""

    def __init__(self, settings: Settings, costs: Costs | None = None, clock: Callable[[], float] = time.time) -> None:
        names = TopicNames.of(settings)
        self._clock = clock
        self._take_of: dict[str, Callable[[Any], None]] = {
            names.verdicts: self._verdict,
            names.labels: self._label,
            names.weights: self._weights,
            names.dead_letters: self._letter,
        }
        self._experts_topic = names.experts
        self.link = Link(settings.broker)
        self.traffic = Traffic()
        self.advice = Advice()
        self.lag = Lag()
        self.letters = Letters()
        self.alarms = Alarms()
        self.standings = Standings()
        self.wishes = Wishes()
        self.costs = costs or Costs(())
        self.reliability = Reliability(settings.defined_policies())
        self.contexts = Contexts(self._forget)
        self.unreadable = 0
        self._turns_seen: tuple[float, int] | None = None
        self.advance()

    def take(self, topic: str, records: list[Any]) -> None:
        """Aiokafka's records of one topic that is followed. What cannot be read is counted, and left out."""
        if topic == self._experts_topic:
            self.wishes.learn(records)
            return
        take = self._take_of[topic]
        for record in records:
            try:
                take(record)
            except UNREADABLE:
                self.unreadable += 1

    def _verdict(self, record: Any) -> None:
        verdict, at = wire.verdicts.decode(record.value or b""), record.timestamp / 1000
        self.traffic.count(OF_LABEL[verdict.label], at)
        if verdict.score is None:
            self.traffic.count(UNSCORED, at)
        self.traffic.took(verdict.latency_ms, at)
        self.advice.take(verdict.experts, at)
        self.contexts.decided(verdict, at)
        self.reliability.decided(verdict)

    def _label(self, record: Any) -> None:
        # One that a worker sends on, to where its turn is or until it comes, is the same label again.
        if not any(name == TRIES for name, _ in record.headers):
            self.traffic.count(LABELS, record.timestamp / 1000)
        self.reliability.labelled(wire.labels.decode(record.value or b""))

    def _weights(self, record: Any) -> None:
        if not record.value:
            self.contexts.gone((record.key or b"").decode(errors="replace"))
            return
        told = wire.weights.decode(record.value)
        known = self.contexts.known.get(told.context)
        before = known.record if known is not None else None
        self.standings.replace(None if before is None else wire.weights.decode(before), told)
        self.contexts.learned(told, record.value)
        self.alarms.look(told)

    def _letter(self, record: Any) -> None:
        self.traffic.count(LETTERS, record.timestamp / 1000)
        self.letters.take(record)

    def _forget(self, context: Context) -> None:
        self.alarms.forget(context.name)
        self.reliability.forget(context.name)
        if context.record is not None:
            self.standings.replace(wire.weights.decode(context.record), None)

    def looked(self, look: Look) -> None:
        """The broker was looked at: the turns that came since the last look are spread over the time between."""
        self.lag.take(look)
        seen = look.at, sum(look.ends.values())
        if self._turns_seen is not None and look.at - self._turns_seen[0] <= UNEVEN:
            self._spread(self._turns_seen, seen)
        self._turns_seen = seen

    def counted_back(self, seen: list[tuple[float, int]]) -> None:
        """How many turns had come at moments of the past, oldest first."""
        for before, after in pairwise(seen):
            self._spread(before, after)
        if seen:
            self._turns_seen = seen[-1]

    def _spread(self, before: tuple[float, int], after: tuple[float, int]) -> None:
        (begin, first), (end, last) = before, after
        seconds = range(int(begin) + 1, int(end) + 1)
        for second in seconds:
            self.traffic.count(TURNS, second, max(last - first, 0) / len(seconds))

    def advance(self) -> float:
        """Let time pass up to now, which is returned."""
        now = self._clock()
        self.traffic.advance(now, self.link.state in ("connecting", "up"))
        self.advice.advance(now)
        return now

    def page(self, query: str, sort: str, offset: int, limit: int) -> dict[str, Any]:
        """A piece of the list of contexts. Raises KeyError for an order that is not there."""
        count, rows = self.contexts.page(query, sort, offset, limit, self._clock())
        return {"count": count, "offset": offset, "version": self.contexts.changes, "rows": rows}

    def detail(self, name: str) -> dict[str, Any] | None:
        """All that is known of one context; None of one that was not seen."""
        context = self.contexts.known.get(name)
        if context is None:
            return None
        bins = self.reliability.of.get(name)
        return {**detail(context, self._clock()), "calibration": None if bins is None else bins.told()}

    def parts(self, now: float) -> dict[str, bytes]:
        """The parts of the page that change as a whole, as JSON."""
        figures = self._figures(now)
        return {
            "broker": msgspec.json.encode(self.link.told()),
            "summary": msgspec.json.encode(self._summary(now, figures)),
            "experts": msgspec.json.encode(self._experts(now)),
            "lag": msgspec.json.encode(self.lag.told()),
            "letters": msgspec.json.encode(self.letters.told()),
            "alarms": msgspec.json.encode(self.alarms.told()),
            "calibration": msgspec.json.encode(self.reliability.overall.told()),
        }

    def _figures(self, now: float) -> Figures:
        of_late = self.traffic.counts.total(LONG, now)
        look = self.lag.look
        return Figures(
            broker=self.link.state,
            reason=self.link.reason,
            workers=len(look.workers) if look else 0,
            unowned=self.lag.unowned,
            waiting=self.lag.turns,
            pace=self.traffic.rate((SAFE, CAUTION, UNSAFE), SHORT, now),
            growing=self.lag.growing(20.0),
            p99=self.traffic.quantiles(60.0, now)[1],
            experts=self.advice.told(now),
            letters=of_late[LETTERS],
            inputs=of_late[TURNS] + of_late[LABELS],
            unscored=of_late[UNSCORED],
            regret_alarms=self.alarms.count("regret"),
            worse=self.alarms.count("worse"),
        )

    def _summary(self, now: float, figures: Figures) -> dict[str, Any]:
        p50, p99 = self.traffic.quantiles(60.0, now)
        bounded, closest = self._closest()
        findings = assess(figures) if self.link.state == "down" or self.lag.look is not None else []
        return {
            "known": self.lag.look is not None,
            "findings": [{"level": one.level, "about": one.about, "text": one.text} for one in findings],
            "turns": round(self.traffic.rate((TURNS,), SHORT, now), 2),
            "verdicts": round(figures.pace, 2),
            "labels": round(self.traffic.rate((LABELS,), LONG, now), 3),
            "p50": p50,
            "p99": p99,
            "contexts": len(self.contexts),
            "hidden": self.contexts.dropped,
            "version": self.contexts.changes,
            "bounded": bounded,
            "closest": closest,
            "unreadable": self.unreadable,
        }

    def _closest(self) -> tuple[int, list[dict[str, Any]]]:
        """How many contexts have a bound, and those whose regret is the largest share of it, the largest first."""
        known = [context for context in self.contexts.known.values() if context.bound > 0.0]
        worst = nlargest(CLOSEST, known, key=lambda context: context.ratio)
        return len(known), [
            {
                "context": context.name,
                "ratio": round(context.ratio, 4),
                "regret": round(context.regret, 3),
                "bound": round(context.bound, 3),
            }
            for context in worst
        ]

    def _experts(self, now: float) -> list[dict[str, Any]]:
        advised, stood = self.advice.told(now), self.standings.told()
        names = sorted({*advised, *stood, *self.wishes.wishes})
        blank = {"version": "", "turns": 0, "weight": None, **dict.fromkeys(STATUSES, 0.0)}
        unknown = {"loss": None, "regret": None, "contexts": 0}
        return [
            {
                "name": name,
                "mode": self._mode(name, advised.get(name)),
                "seconds": self.costs.seconds.get(name),
                **(advised.get(name) or blank),
                **stood.get(name, unknown),
            }
            for name in names
        ]

    def _mode(self, name: str, advised: dict[str, Any] | None) -> str | None:
        """What an operator wants of it; else how it takes part, as its verdicts show."""
        wish = self.wishes.wishes.get(name)
        if wish is not None:
            return wish.mode
        if advised is None or not advised["turns"]:
            return None
        return "shadow" if advised["shadow"] > 0.5 else "enabled"
