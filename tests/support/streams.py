"""Streams that are over: made up, or decided and learned by the worker's own functions, without a broker."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ensemble import CLASSES, PERMISSIVE, Forecaster, Moments, zero
from experts.base import ABSTAINED, OK, Advice
from stream import state
from stream.codecs import encode
from stream.labels import Change, learn, vote
from stream.records import Label, Turn
from stream.verdicts import Arrival, decide, verdict

PANEL = ("bayes@1", "guard@2", "lexical@1", "newcomer@1")
VOTERS = PANEL[:3]
"""The last one is a shadow."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Worked:
    """What a worker of one partition published, what it read, and what it had learned in the end."""

    verdicts: list[bytes] = field(default_factory=list)
    labels: list[bytes] = field(default_factory=list)
    moments: dict[str, Moments] = field(default_factory=dict)
    pending: dict[str, state.Pending] = field(default_factory=dict)


def worked(seed: int, batches: int = 60, corrected: float = 0.0, merged: bool = True) -> Worked:
    """Batches of turns of two roles, each a minute after the one before, and labels between them, which the next batch
    has read (unless `merged` is false: then none ever is); of some a second annotator says more, a share `corrected`.
    """
    rng, done = np.random.default_rng(seed), Worked()
    waiting: list[str] = []
    for batch in range(batches):
        now = BEGAN + timedelta(minutes=batch)
        for role in ("user", "assistant"):
            _decide(rng, done, waiting, f"{batch}{role}", role, now, merged)
        rng.shuffle(waiting)
        told, waiting = waiting[: len(waiting) // 2], waiting[len(waiting) // 2 :]
        _learn(rng, done, told, now + timedelta(seconds=30), corrected)
    return done


def _decide(
    rng: np.random.Generator, done: Worked, waiting: list[str], name: str, role: Any, now: datetime, merged: bool
) -> None:
    count = int(rng.integers(1, 6))
    scores = rng.uniform(0.1, 1.0, (count, len(PANEL))).astype(np.float32)  # a verdict tells these exactly
    status = np.where(rng.random(scores.shape) < 0.2, ABSTAINED, OK).astype(np.uint8)
    scores[status != OK] = np.nan
    turns = [Turn(f"{name}-{n}", f"c{n}", role, "text", now) for n in range(count)]
    ms = int(now.timestamp() * 1000)
    arrivals = [Arrival(turn, 0, n, ms, state.digest(role, turn.text)) for n, turn in enumerate(turns)]
    known = done.moments.get(state.context_of("default", role), zero(()))
    forecaster = Forecaster.of(known if merged else zero(()), PERMISSIVE, VOTERS)
    decided = decide(arrivals, range(count), Advice(scores, status), PANEL, forecaster, PERMISSIVE, ms)
    for turn, pending in zip(turns, decided, strict=True):
        done.pending[turn.turn_id] = pending
        done.verdicts.append(encode(verdict(turn, pending, "turns")))
        waiting.append(turn.turn_id)


def _learn(rng: np.random.Generator, done: Worked, turn_ids: list[str], at: datetime, corrected: float) -> None:
    changes: dict[str, list[Change]] = defaultdict(list)
    for turn_id in turn_ids:
        for annotator in ("ann", "bob")[: 1 + int(rng.random() < corrected)]:
            says = int(rng.integers(3))
            label = Label(turn_id, "c", CLASSES[says], annotator, at)
            done.labels.append(encode(label))
            cast = vote(done.pending[turn_id], annotator, says, int(at.timestamp() * 1000))
            assert cast is not None
            done.pending[turn_id], change = cast
            if change is not None:
                changes[change.pending.context].append(change)
    for context, several in changes.items():
        done.moments[context] = learn(done.moments.get(context, zero(())), several)


def judged_line(number: int, scores: dict[str, float | None], at: datetime, **more: Any) -> dict[str, Any]:
    """A verdict as a line of JSON, of a user of `acme`, by experts that are asleep where their score is None."""
    awake = [score for score in scores.values() if score is not None]
    return {
        "turn_id": f"t{number}",
        "tenant": "acme",
        "context": "acme/user",
        "score": sum(awake) / len(awake) if awake else None,
        "experts": [
            {"name": name, "version": "1", "score": score, "status": "abstained" if score is None else "ok"}
            for name, score in scores.items()
        ],
        "scored_at": at.isoformat(),
        "what_a_newer_worker_tells": {"more": 1},
        **more,
    }


def label_line(number: int, says: str, at: datetime, annotator: str = "ann", **more: Any) -> dict[str, Any]:
    """A label of that turn as a line of JSON."""
    return {
        "turn_id": f"t{number}",
        "conversation_id": "c",
        "tenant": "acme",
        "label": says,
        "annotator": annotator,
        "labelled_at": at.isoformat(),
        **more,
    }


def made_up(count: int, seed: int = 0, minutes: float = 5.0) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Verdicts one a minute by a good expert and one that draws lots, and a label of each so many minutes later."""
    rng = np.random.default_rng(seed)
    verdicts, labels = [], []
    for number in range(count):
        unsafe, at = bool(rng.random() < 0.4), BEGAN + timedelta(minutes=number)
        good = float(np.clip(rng.normal(0.25 + 0.5 * unsafe, 0.15), 0.0, 1.0))
        verdicts.append(judged_line(number, {"good": good, "lots": float(rng.random())}, at))
        labels.append(label_line(number, "unsafe" if unsafe else "safe", at + timedelta(minutes=minutes)))
    return verdicts, labels


def lines(rows: list[dict[str, Any]]) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
