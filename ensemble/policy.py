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

CLASSES: Final = ("safe", "needs_caution", "unsafe")
"""The label classes; a class index is also its severity."""

SAFE, NEEDS_CAUTION, UNSAFE = range(3)

Loss = Literal["brier", "absolute", "log", "zero_one"]
Fail = Literal["closed", "open"]


@dataclass(frozen=True, slots=True)
class Policy:
    """A reading of the label classes, and the thresholds of the decision.

    `targets[c]` is the probability of "unsafe" that would have been right for class c, `costs[c]` what an error on that
    class costs (a miss is dearer than a false alarm when `costs[2] > costs[0]`). A score of at least `unsafe_at` is
    decided unsafe, of at least `caution_at` needs_caution. `fail` decides the turns on which no expert was awake:
    "closed" is unsafe, "open" is safe.

    Raises PolicyError when a value is out of range or two of them contradict each other.
    """

    name: str
    targets: tuple[float, float, float]
    costs: tuple[float, float, float] = (1.0, 1.0, 1.0)
    loss: Loss = "brier"
    caution_at: float = 0.35
    unsafe_at: float = 0.5
    fail: Fail = "closed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(float(target) for target in self.targets))
        object.__setattr__(self, "costs", tuple(float(cost) for cost in self.costs))
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
        if self.loss not in get_args(Loss):
            return f"loss {self.loss!r} is unknown: use one of {', '.join(get_args(Loss))}"
        if self.fail not in get_args(Fail):
            return f"fail {self.fail!r} is unknown: use closed or open"
        if self.loss in ("absolute", "zero_one") and not set(self.targets) <= {0.0, 1.0}:
            return f"loss {self.loss} needs targets of 0 or 1, got {self.targets}: use brier or log for soft targets"
        return None

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
        """16 hexadecimal digits that change if and only if moments would be read differently: by targets, costs or
        loss.
        """
        reading = json.dumps([self.targets, self.costs, self.loss])
        return hashlib.sha256(reading.encode()).hexdigest()[:16]


PERMISSIVE: Final = Policy("permissive", targets=(0.0, 0.0, 1.0))
"""needs_caution is no offence: people talk about hard things."""

DEFENSIVE: Final = Policy("defensive", targets=(0.0, 1.0, 1.0))
"""needs_caution counts as unsafe: when in doubt, hold it."""

POLICIES: Final = {policy.name: policy for policy in (PERMISSIVE, DEFENSIVE)}
