"""What the page is told, as JSON; what an annotator must not know before the vote is in `experts` alone."""

from __future__ import annotations

import time
from typing import Any, Final

from ensemble.policy import CLASSES
from experts.taxonomy import RISKS
from stream.console.review.agreement import Agreement, agreement
from stream.console.review.candidates import Candidate
from stream.console.review.desk import View
from stream.console.review.ledger import Pace
from stream.console.review.room import Review
from stream.records import LabelName, Utterance, Verdict
from stream.web.callers import Caller

RISK_NAMES: Final = frozenset(RISKS)
MOST_ANNOTATORS: Final = 50
"""In the table of the day."""


def turn(view: View) -> dict[str, Any]:
    """A turn as it is shown, and the annotator's own vote if there is one."""
    said = view.shown.turn
    return {
        "turn": view.candidate.key.hex(),
        "role": said.role,
        "text": said.text,
        "sent_at": said.sent_at.isoformat(),
        "tenant": said.tenant,
        "before": [_utterance(one) for one in view.shown.before],
        "is_cut": view.shown.is_cut,
        "vote": {"label": view.cast.label, "categories": list(view.cast.categories)} if view.cast is not None else None,
    }


def _utterance(one: Utterance) -> dict[str, str]:
    return {"role": one.role, "text": one.text}


def experts(candidate: Candidate, verdict: Verdict | None, label: LabelName) -> dict[str, Any]:
    """What experts and ensemble said, for one who has voted `label`."""
    if verdict is None:
        return {"verdict": None}
    asked = verdict.ask_probability
    return {
        "verdict": {
            "label": verdict.label,
            "score": verdict.score,
            "policy": verdict.policy,
            "same": verdict.label == label,
            "why": candidate.why.name.lower(),
            "ask_probability": asked,
            "categories": {name: score for name, score in verdict.categories.items() if name in RISK_NAMES},
            "experts": [
                {"name": one.name, "score": one.score, "weight": one.weight, "status": one.status}
                for one in verdict.experts
            ],
        }
    }


def state(review: Review, caller: Caller, since_ms: int) -> dict[str, Any]:
    """How long the queue is, what left it, and what the annotator did since `since_ms`."""
    queue, feed = review.queue, review.feed
    oldest, pace = queue.oldest(), review.ledger.pace(caller.name, since_ms)
    return {
        "name": caller.name,
        "trouble": feed.trouble,
        "reading": not feed.is_ready,
        "waiting": queue.waiting(caller.tenant),
        "oldest_ms": int(time.time() * 1000) - oldest.judged_at_ms if oldest is not None else None,
        "dropped": queue.counts.dropped,
        "expired": queue.counts.expired,
        "gone": queue.counts.gone,
        "today": {"turns": pace.turns, "minutes": pace.minutes, "hourly": pace.hourly},
        "may_export": review.may_export(caller),
    }


def agreement_of(review: Review, caller: Caller, since_ms: int) -> dict[str, Any]:
    """How far annotators agree, and what each did. One who may see one tenant alone sees itself alone."""
    paces = review.ledger.paces(since_ms)
    if caller.tenant is not None:
        return {"agreement": None, "annotators": [_pace(name, paces[name]) for name in paces if name == caller.name]}
    votes = ([vote.label for vote in votes.values()] for votes in review.ledger.shared())
    of_all, each = agreement(votes)
    return {
        "agreement": {
            "all": _agreement(of_all),
            "classes": {name: _agreement(one) for name, one in zip(CLASSES, each, strict=True)},
        },
        "labelled": review.ledger.turns(),
        "forgotten": review.ledger.forgotten,
        "annotators": [_pace(name, pace) for name, pace in list(paces.items())[:MOST_ANNOTATORS]],
    }


def _agreement(one: Agreement) -> dict[str, Any]:
    return {"turns": one.turns, "same": one.same, "alpha": one.alpha}


def _pace(name: str, pace: Pace) -> dict[str, Any]:
    return {"name": name, "turns": pace.turns, "minutes": pace.minutes, "hourly": pace.hourly}
