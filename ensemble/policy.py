"""How a tenant reads a label and a score: the one place where taste enters the mathematics."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ensemble.errors import PolicyError
from ensemble.votes import Limits

CLASSES: Final = ("safe", "needs_caution", "unsafe")
"""The label classes; a class index is also its severity."""

SAFE, NEEDS_CAUTION, UNSAFE = range(3)

Loss = Literal["brier", "absolute", "log", "zero_one"]
Fail = Literal["closed", "open"]
Rule = Literal["exponential", "mean", "leader", "squint", "mlpol"]
Thresholds = Literal["fixed", "rate", "cost"]

LEAST_ASKED: Final = 0.01
"""A turn asked for with probability q counts 1 / q: below this floor single labels would move everything."""

MOST_ASKED_FOR: Final = 16
"""Of a quorum: a turn keeps the votes of 64 annotators, and nobody asks a fourth of them."""
MOST_WEIGHT: Final = 1000.0
"""Of an annotator: far above what trust differs by."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A reading of the label classes, and the thresholds of the decision.

    `targets[c]` is the probability of "unsafe" that would have been right for class c, `costs[c]` what an error on that
    class costs (a miss is dearer than a false alarm when `costs[2] > costs[0]`). A score of at least `unsafe_at` is
    decided unsafe, of at least `caution_at` needs_caution. `fail` decides the turns on which no expert was awake:
    "closed" is unsafe, "open" is safe.

    `forecaster` is the rule that weighs the experts (`rules.py`). `ask` is the probability with which a label is asked
    for where all experts agree, `ask_unsure` where they differ as far as they can; at 1 every turn is asked for and
    every label counts. With sampling on, a label that nobody asked for has the weight `unasked` in what is learned and
    `unasked_reported` in what is reported. `thresholds` says where `caution_at` and `unsafe_at` come from once enough
    labels have come: "fixed", as given; "rate", at the false-positive rates `false_alarms` (needs_caution or worse
    among safe turns; unsafe among those whose target is below 1/2); "cost", where mistakes cost least.

    `quorum`, `annotators` (name to weight) and `others` (of annotators not named) say whose labels are learned, as
    `votes.Limits` does: with a quorum of 2 nobody teaches anything alone, with `others` at 0 only those named do.

    Raises PolicyError when a value is out of range or two of them contradict each other.
    """

    name: str
    targets: tuple[float, float, float]
    costs: tuple[float, float, float] = (1.0, 1.0, 1.0)
    loss: Loss = "brier"
    caution_at: float = 0.35
    unsafe_at: float = 0.5
    fail: Fail = "closed"
    forecaster: Rule = "exponential"
    ask: float = 1.0
    ask_unsure: float = 1.0
    unasked: float = 0.0
    unasked_reported: float = 1.0
    thresholds: Thresholds = "fixed"
    false_alarms: tuple[float, float] = (0.15, 0.05)
    quorum: int = 1
    annotators: tuple[tuple[str, float], ...] = ()
    """Given as a mapping, kept as sorted pairs."""
    others: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(float(target) for target in self.targets))
        object.__setattr__(self, "costs", tuple(float(cost) for cost in self.costs))
        object.__setattr__(self, "false_alarms", tuple(float(rate) for rate in self.false_alarms))
        weights = {str(name): float(weight) for name, weight in dict(self.annotators).items()}
        object.__setattr__(self, "annotators", tuple(sorted(weights.items())))
        problem = self._problem()
        if problem:
            raise PolicyError(f"policy {self.name!r}: {problem}")

    def _problem(self) -> str | None:
        if not self.name:
            return "it has no name: give it one"
        if len(self.targets) != 3 or len(self.costs) != 3:
            return f"it needs three targets {self.targets} and three costs {self.costs}, for {', '.join(CLASSES)}"
        if not all(0.0 <= target <= 1.0 for target in self.targets):
            return f"targets {self.targets} must lie in [0, 1]"
        if not all(math.isfinite(cost) and cost > 0.0 for cost in self.costs):
            return f"costs {self.costs} must be finite and above 0"
        if not 0.0 <= self.caution_at <= self.unsafe_at <= 1.0:
            return f"thresholds must be 0 <= caution_at ({self.caution_at}) <= unsafe_at ({self.unsafe_at}) <= 1"
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                return f"{field} {getattr(self, field)!r} is unknown: use one of {', '.join(choices)}"
        if self.loss in ("absolute", "zero_one") and not set(self.targets) <= {0.0, 1.0}:
            return f"loss {self.loss} needs targets of 0 or 1, got {self.targets}: use brier or log for soft targets"
        return self._sampling_problem()

    def _sampling_problem(self) -> str | None:
        if not LEAST_ASKED <= self.ask <= self.ask_unsure <= 1.0:
            return f"ask must be {LEAST_ASKED} <= ask ({self.ask}) <= ask_unsure ({self.ask_unsure}) <= 1"
        for field in ("unasked", "unasked_reported"):
            if not 0.0 <= getattr(self, field) <= 1.0:
                return f"{field} ({getattr(self, field)}) must lie in [0, 1]"
        if len(self.false_alarms) != 2 or not all(0.0 < rate < 1.0 for rate in self.false_alarms):
            return f"false_alarms {self.false_alarms} must be two rates between 0 and 1, for needs_caution and unsafe"
        return self._limits_problem()

    def _limits_problem(self) -> str | None:
        if not isinstance(self.quorum, int) or not 1 <= self.quorum <= MOST_ASKED_FOR:
            return f"quorum {self.quorum!r} must be a whole number from 1 to {MOST_ASKED_FOR}"
        if not 0.0 <= self.others <= MOST_WEIGHT:
            return f"others ({self.others}) must lie in [0, {MOST_WEIGHT:g}]"
        if not all(0.0 <= weight <= MOST_WEIGHT for _, weight in self.annotators):
            return f"weights of annotators must lie in [0, {MOST_WEIGHT:g}]"
        if self.others == 0.0 and sum(weight > 0.0 for _, weight in self.annotators) < self.quorum:
            return f"others is 0 and fewer annotators are named with a weight than the quorum of {self.quorum}"
        return None

    @property
    def samples(self) -> bool:
        """Whether some turns are not asked for."""
        return self.ask < 1.0

    @property
    def limits(self) -> Limits:
        """How far annotators are trusted."""
        return Limits(self.quorum, dict(self.annotators), self.others)

    @property
    def w_max(self) -> float:
        """The dearest cost: the Brier, absolute and zero-one losses of one round lie in [0, w_max]."""
        return max(self.costs)

    def decide(self, score: float) -> int:
        """The class index for one score; nan (nobody was awake) is decided by `fail`."""
        if math.isnan(score):
            return UNSAFE if self.fail == "closed" else SAFE
        return int(score >= self.caution_at) + int(score >= self.unsafe_at)

    def decide_many(self, scores: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The class index for each of scores[N], as `decide` would."""
        decided = (scores >= self.caution_at).astype(np.uint8) + (scores >= self.unsafe_at)
        decided[np.isnan(scores)] = self.decide(math.nan)
        return decided

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change if and only if moments would be read differently: by targets, costs, loss,
        forecaster, the weight of labels that nobody asked for, or, under the rules that must know the largest
        importance weight, `ask`.
        """
        reading = [self.targets, self.costs, self.loss, self.forecaster, self.unasked]
        if self.forecaster in ("squint", "mlpol"):
            reading.append(self.ask)
        return hashlib.sha256(json.dumps(reading).encode()).hexdigest()[:16]


_CHOICES: Final = {
    "loss": get_args(Loss),
    "fail": get_args(Fail),
    "forecaster": get_args(Rule),
    "thresholds": get_args(Thresholds),
}

PERMISSIVE: Final = Policy("permissive", targets=(0.0, 0.0, 1.0))
"""needs_caution is no offence: people talk about hard things."""

DEFENSIVE: Final = Policy("defensive", targets=(0.0, 1.0, 1.0))
"""needs_caution counts as unsafe: when in doubt, hold it."""

POLICIES: Final = {policy.name: policy for policy in (PERMISSIVE, DEFENSIVE)}
