"""Can scores be read as probabilities? Labels joined to the verdicts seen lately, in tenths of the score."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from ensemble.policy import CLASSES, Policy
from stream.console.live.wire import SeenLabel, SeenVerdict

BINS: Final = 10
MOST_ASKED: Final = 100_000
"""Turns kept whose label was asked for: half a day at two a second, and about 25 MB."""
_CLASS: Final = {name: place for place, name in enumerate(CLASSES)}
_UNKNOWN: Final = (0.0, 0.0, 1.0)
"""How a policy that this console's settings do not name is read: only unsafe is unsafe."""


class Bins:
    """Sums by tenths of the score: labels, their weights, and the weighted scores and targets."""

    __slots__ = ("count", "score", "target", "weight")

    def __init__(self) -> None:
        self.count = [0] * BINS
        self.weight = [0.0] * BINS
        self.score = [0.0] * BINS
        self.target = [0.0] * BINS

    def add(self, score: float, target: float, weight: float, sign: int = 1) -> None:
        """A label came; with `sign` -1 it is taken back."""
        place = min(int(score * BINS), BINS - 1)
        self.count[place] += sign
        self.weight[place] += sign * weight
        self.score[place] += sign * weight * score
        self.target[place] += sign * weight * target

    def told(self) -> dict[str, Any]:
        """For each tenth that has labels: how many, the mean score, and the share that was unsafe; `error` is their
        mean distance."""
        rows = [
            (count, score / weight, target / weight, weight)
            for count, weight, score, target in zip(self.count, self.weight, self.score, self.target, strict=True)
            if count > 0
        ]
        total = sum(row[3] for row in rows)
        return {
            "labels": sum(row[0] for row in rows),
            "count": [row[0] for row in rows],
            "score": [round(row[1], 4) for row in rows],
            "unsafe": [round(row[2], 4) for row in rows],
            "error": round(sum(abs(row[1] - row[2]) * row[3] for row in rows) / total, 4) if total > 0.0 else None,
        }


class _Asked:
    """A verdict that waits for its label, and the target that its newest label has given it."""

    __slots__ = ("context", "policy", "score", "target", "weight")

    def __init__(self, verdict: SeenVerdict, score: float) -> None:
        self.context = verdict.context
        self.policy = verdict.policy
        self.score = score
        self.weight = 1.0 / verdict.ask_probability
        self.target: float | None = None


class Reliability:
    """Over all contexts, and in each.

    Only turns that somebody was asked for count, each as often as it stands for others: the rest is no sample. The
    newest label of a turn counts. A label of a turn that was not seen, or longer ago than what is kept, is left out."""

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self._targets = {name: policy.targets for name, policy in policies.items()}
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self.overall = Bins()
        self.of: dict[str, Bins] = {}

    def decided(self, verdict: SeenVerdict) -> None:
        """A verdict was published; again after a crash, which changes nothing."""
        if verdict.score is None or not verdict.ask_label or not 0.0 < verdict.ask_probability <= 1.0:
            return
        if verdict.turn_id in self._asked:
            return
        self._asked[verdict.turn_id] = _Asked(verdict, min(max(verdict.score, 0.0), 1.0))
        while len(self._asked) > MOST_ASKED:
            self._asked.popitem(last=False)

    def labelled(self, label: SeenLabel) -> None:
        """A label came."""
        turn = self._asked.get(label.turn_id)
        if turn is None:
            return
        bins = self.of.get(turn.context)
        if bins is None:
            bins = self.of[turn.context] = Bins()
        if turn.target is not None:
            self.overall.add(turn.score, turn.target, turn.weight, -1)
            bins.add(turn.score, turn.target, turn.weight, -1)
        turn.target = self._targets.get(turn.policy, _UNKNOWN)[_CLASS[label.label]]
        self.overall.add(turn.score, turn.target, turn.weight)
        bins.add(turn.score, turn.target, turn.weight)

    def forget(self, context: str) -> None:
        """A context is not shown any more."""
        self.of.pop(context, None)
