"""What annotators do, one method each: take a turn, vote, pass, look back, rest; and what they may know when.

What the experts think of a turn is told to nobody who has not voted on it. A vote can be changed: the newest of an
annotator counts. It cannot be unsaid; only an operator can take it back (`aegis labels revoke`)."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from stream.console.review.candidates import Candidate
from stream.console.review.ledger import Ledger
from stream.console.review.queue import Queue
from stream.console.review.texts import Shown, Texts
from stream.console.review.voting import Publisher
from stream.records import Label, LabelName, Verdict
from stream.topics import TopicNames
from stream.web.answers import Refusal
from stream.web.callers import Caller

MOST_BACK: Final = 50
"""Votes of a session that can be looked at again."""
MOST_PASSED: Final = 5_000
"""Turns that an annotator passed by and is not shown again, until the console is started anew."""
MOST_SESSIONS: Final = 2_000
"""Annotators that are remembered, those seen last."""
MOST_GONE: Final = 200
"""Turns without a text that are left out at one request, each a reading."""

NOT_WAITING: Final = "this turn does not wait for a label any more: go on with the next"


@dataclass(frozen=True, slots=True)
class Cast:
    """A vote of this session."""

    candidate: Candidate
    label: LabelName
    categories: tuple[str, ...]
    at_ms: int


@dataclass(slots=True)
class Session:
    """One annotator's: votes by turn in the order of the first, turns passed by, and the turn shown last."""

    votes: OrderedDict[bytes, Cast] = field(default_factory=OrderedDict)
    passed: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    shown: Candidate | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A turn as it is shown, with the vote that stands if it was voted on in this session."""

    candidate: Candidate
    shown: Shown
    cast: Cast | None = None


class Desk:
    """All annotators of this console."""

    def __init__(self, names: TopicNames, queue: Queue, ledger: Ledger, texts: Texts, publisher: Publisher) -> None:
        self._turns_topic = names.turns
        self._queue = queue
        self._ledger = ledger
        self._texts = texts
        self._publisher = publisher
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    async def next(self, caller: Caller) -> View | None:
        """The turn that is this annotator's now; None when none waits for it. Raises BrokerError, one line."""
        session = self._session(caller)
        for _ in range(MOST_GONE):
            lease = self._queue.take(caller.name, _now_ms(), caller.tenant, session.passed)
            if lease is None:
                return None
            shown = await self._texts.turn(lease.candidate)
            if shown is not None:
                session.shown = lease.candidate
                return View(lease.candidate, shown)
            self._queue.lose(lease.candidate)
        return None

    async def vote(
        self, caller: Caller, key: bytes, label: LabelName, categories: tuple[str, ...]
    ) -> tuple[Cast, bool]:
        """The vote, once the broker has it, and whether it is a new or changed one.

        Raises Refusal (409) for a turn that neither waits nor was voted on here, WriteError and the like, one line."""
        session = self._session(caller)
        before = session.votes.get(key)
        if before is not None and (before.label, before.categories) == (label, categories):
            return before, False
        candidate = before.candidate if before is not None else self._shown_to(caller, key)
        # Later than the vote that it replaces, also where a clock was set back; by two, since who reads it may round.
        cast = Cast(candidate, label, categories, max(_now_ms(), before.at_ms + 2 if before is not None else 0))
        said = self._label(caller, cast)
        await self._publisher.publish(said)
        session.votes[key] = cast
        if len(session.votes) > MOST_BACK:
            session.votes.popitem(last=False)
        self._ledger.add(said, cast.at_ms)
        self._queue.labelled(key)
        self._give_back(caller, key)
        return cast, True

    def skip(self, caller: Caller, key: bytes) -> None:
        """Leave a turn to others, for as long as this console runs."""
        passed = self._session(caller).passed
        passed[key] = None
        if len(passed) > MOST_PASSED:
            passed.popitem(last=False)
        self._give_back(caller, key)

    def rest(self, caller: Caller) -> None:
        """Leave the turn that is this annotator's to others: it goes away for a while."""
        self._queue.release(caller.name)

    async def back(self, caller: Caller, before: bytes | None) -> View | None:
        """The turn voted on last in this session, or the one before the turn `before`; None when there is none whose
        text is still there. Raises BrokerError, one line."""
        votes = self._session(caller).votes
        order = list(votes)
        if before is not None and before in votes:
            order = order[: order.index(before)]
        for key in reversed(order):
            shown = await self._texts.turn(votes[key].candidate)
            if shown is not None:
                return View(votes[key].candidate, shown, votes[key])
        return None

    async def verdict(self, caller: Caller, key: bytes) -> tuple[Candidate, Verdict | None, LabelName]:
        """What the ensemble said of a turn that this annotator has voted on, and what the annotator said. Raises
        Refusal (403) before the vote, BrokerError, one line."""
        cast = self._session(caller).votes.get(key)
        if cast is None:
            raise Refusal(403, "experts' opinions are shown after your vote on this turn", "not_voted")
        return cast.candidate, await self._texts.verdict(cast.candidate), cast.label

    def _session(self, caller: Caller) -> Session:
        session = self._sessions.setdefault(caller.name, Session())
        self._sessions.move_to_end(caller.name)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def _shown_to(self, caller: Caller, key: bytes) -> Candidate:
        """The turn that is voted on: after a lease has ended, or a restart, it still may."""
        shown = self._session(caller).shown
        candidate = shown if shown is not None and shown.key == key else self._queue.find(key)
        if candidate is None or caller.tenant not in (None, candidate.tenant):
            raise Refusal(409, NOT_WAITING, "not_waiting")
        return candidate

    def _give_back(self, caller: Caller, key: bytes) -> None:
        held = self._queue.held(caller.name, _now_ms())
        if held is not None and held.candidate.key == key:
            self._queue.release(caller.name)

    def _label(self, caller: Caller, cast: Cast) -> Label:
        candidate = cast.candidate
        return Label(
            turn_id=candidate.turn_id,
            conversation_id=candidate.conversation_id,
            label=cast.label,
            annotator=caller.name,
            labelled_at=datetime.fromtimestamp(cast.at_ms / 1000, UTC),
            tenant=candidate.tenant,
            categories=cast.categories,
            source=candidate.source(self._turns_topic),
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
