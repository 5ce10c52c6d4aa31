"""The offline oracle: what the moments must be, from all that was scored and labelled, told in any order.

It keeps every turn and every vote, and only at the end sums, in plain Python with exact summation (`math.fsum`), over
the final majority of each turn. It shares no line with `moments.fold`, so that the two can be compared: the worker's
moments must equal it to 1e-9.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ensemble.moments import HALF_LIVES, SUMS, Moments, align, rescale, shapes
from ensemble.policy import CLASSES
from ensemble.rounds import BINS

_CLIP = 1e-4


@dataclass(frozen=True)
class _Scored:
    """A turn as it was decided: the advice of those awake, a forecast for each half-life, the score, the time."""

    context: str
    experts: tuple[str, ...]
    advice: dict[str, float]
    forecasts: tuple[float, ...]
    published: float
    scored_at: float
    used: float
    q: float


@dataclass
class Replay:
    """Tell it what was scored and what was labelled, then ask it for the moments."""

    half_lives: tuple[float, ...] = HALF_LIVES
    _turns: dict[Hashable, _Scored] = field(default_factory=dict)
    _votes: dict[Hashable, dict[str, tuple[int, int]]] = field(default_factory=lambda: defaultdict(dict))

    def scored(
        self,
        turn_key: Hashable,
        context: str,
        experts: Sequence[str],
        scores: Sequence[float],
        awake: Sequence[bool],
        forecasts: Sequence[float],
        published: float,
        scored_at: float,
        used: float,
        q: float = 1.0,
    ) -> None:
        """A turn was decided, at `scored_at` unix seconds. Told again, the first decision stands."""
        advice = {name: float(score) for name, score, heard in zip(experts, scores, awake, strict=True) if heard}
        said = tuple(float(value) for value in forecasts)
        turn = _Scored(context, tuple(experts), advice, said, float(published), scored_at, used, q)
        self._turns.setdefault(turn_key, turn)

    def labelled(self, turn_key: Hashable, annotator: str, label: int, at_ms: int) -> None:
        """A person labelled a turn, known by now or not, in any order and any number of times."""
        vote = (at_ms, label)
        self._votes[turn_key][annotator] = max(vote, self._votes[turn_key].get(annotator, vote))

    def label_of(self, turn_key: Hashable) -> int | None:
        """The final class of a turn: most annotators, the more severe one of a tie; None when nobody labelled it."""
        labels = [label for _, label in self._votes.get(turn_key, {}).values()]
        return max(labels, key=lambda label: (labels.count(label), label), default=None)

    def moments(self) -> dict[str, Moments]:
        """The moments of each context in which a turn was scored, over the sorted union of the experts that it ever
        had.
        """
        by_context: dict[str, list[tuple[_Scored, int | None]]] = defaultdict(list)
        for key, turn in self._turns.items():
            by_context[turn.context].append((turn, self.label_of(key)))
        return {context: self._sums(rows) for context, rows in by_context.items()}

    def _sums(self, rows: list[tuple[_Scored, int | None]]) -> Moments:
        experts = sorted({name for turn, _ in rows for name in turn.experts})
        learned = [(turn, label) for turn, label in rows if label is not None and turn.advice]
        at = max((turn.scored_at for turn, _ in learned), default=-math.inf)
        all_ = [[turn for turn, label in learned if label == c] for c in range(len(CLASSES))]
        heard = {i: [[turn for turn in turns if i in turn.advice] for turns in all_] for i in experts}

        def decayed(turn: _Scored, half_life: float) -> float:
            return turn.q * float(0.5 ** ((at - turn.scored_at) / half_life))

        by_half_life = list(enumerate(self.half_lives))
        edges = [b / BINS for b in range(BINS)]
        cells: dict[str, list[object]] = {
            "expert": [
                [[_six((t.advice[i], decayed(t, h)) for t in turns) for turns in heard[i]] for i in experts]
                for _, h in by_half_life
            ],
            "forecast": [
                [[_six((t.forecasts[j], decayed(t, h)) for t in turns) for turns in heard[i]] for i in experts]
                for j, h in by_half_life
            ],
            "squared": [
                [
                    [_seven((t.advice[i], t.forecasts[j], t.q * decayed(t, h)) for t in turns) for turns in heard[i]]
                    for i in experts
                ]
                for j, h in by_half_life
            ],
            "published": [[_six((t.published, t.q) for t in turns) for turns in heard[i]] for i in experts],
            "hedge": [[_six((t.forecasts[j], t.q) for t in turns) for turns in all_] for j, _ in by_half_life],
            "total": [[_six((t.published, decayed(t, h)) for t in turns) for turns in all_] for _, h in by_half_life],
            "importance": [math.fsum(t.q * t.q for t in turns) for turns in all_],
            "histogram": [
                [math.fsum(t.q for t in turns if bisect_right(edges, t.published) == b) for b in range(1, BINS + 1)]
                for turns in all_
            ],
        }
        axes = shapes(len(self.half_lives), len(experts))
        return Moments(
            experts=tuple(experts),
            half_lives=self.half_lives,
            at=at,
            rounds=len(learned),
            used=math.fsum(turn.q * turn.used for turn, _ in learned),
            cold=math.fsum(turn.q for turn, _ in learned if turn.used == 0.0),
            **{name: np.array(values, np.float64).reshape(axes[name]) for name, values in cells.items()},
        )


def distance(moments: Moments, oracle: Moments) -> float:
    """The largest difference between two records, relative to the oracle's value where that is above 1.

    Experts are compared by name, one that a record lacks as zeros, and decayed sums at the later of the two reference
    times.
    """
    names = sorted({*moments.experts, *oracle.experts})
    at = max(moments.at, oracle.at)
    a, b = rescale(align(moments, names), at), rescale(align(oracle, names), at)
    if a.half_lives != b.half_lives:
        return math.inf
    pairs = [(np.asarray(getattr(a, name), float), np.asarray(getattr(b, name), float)) for name in SUMS]
    return max(float((np.abs(x - y) / np.maximum(1.0, np.abs(y))).max(initial=0.0)) for x, y in pairs)


def _six(weighted: Iterable[tuple[float, float]]) -> list[float]:
    """The six statistics, in the order of the axis S, of pairs of a probability and its weight."""
    pairs = list(weighted)
    clipped = [(min(max(p, _CLIP), 1.0 - _CLIP), weight) for p, weight in pairs]
    return [
        math.fsum(weight for _, weight in pairs),
        math.fsum(weight * p for p, weight in pairs),
        math.fsum(weight * p**2 for p, weight in pairs),
        math.fsum(weight * math.log(p) for p, weight in clipped),
        math.fsum(weight * math.log(1.0 - p) for p, weight in clipped),
        math.fsum(weight for p, weight in pairs if p >= 0.5),
    ]


def _seven(weighted: Iterable[tuple[float, float, float]]) -> list[float]:
    """The seven products, in the order of the axis P, of triples of an expert's score, a forecast and their weight."""
    rows = []
    for p, x, weight in weighted:
        (p_low, x_low) = (min(max(value, _CLIP), 1.0 - _CLIP) for value in (p, x))
        u, s, t = p - x, p**2 - x**2, float(p >= 0.5) - float(x >= 0.5)
        a, b = math.log(p_low) - math.log(x_low), math.log(1.0 - p_low) - math.log(1.0 - x_low)
        rows.append([weight * value for value in (u * u, u * s, s * s, t * t, a * a, a * b, b * b)])
    return [math.fsum(column) for column in zip(*rows, strict=True)] if rows else [0.0] * 7
