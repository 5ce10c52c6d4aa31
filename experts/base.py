"""What an expert reads and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Scores = npt.NDArray[np.float32]
Statuses = npt.NDArray[np.uint8]

OK: Final = 0
TIMEOUT: Final = 1
ERROR: Final = 2
ABSTAINED: Final = 3
SHADOW: Final = 4  # it advised, and has no vote: whoever asks a panel marks it, no panel answers it
STATUS_NAMES: Final = ("ok", "timeout", "error", "abstained", "shadow")


class Passage(Struct, frozen=True, gc=False):
    """What an expert reads of one turn: who speaks, the text, and the turns before it as (role, text), oldest first."""

    role: str
    text: str
    history: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one expert says of N passages: `scores` as `Expert.advise` gives them, and, from an expert that tells risks
    apart, `risks` float32[N, R] over `experts.taxonomy.RISKS`, NaN where it says nothing of a risk or abstains.
    """

    scores: Scores
    risks: npt.NDArray[np.float32] | None = None


@runtime_checkable
class Expert(Protocol):
    """A model that advises on turns.

    `advise` is called by one thread at a time, never for no passages, and may block. It must give a passage the same
    score (to 1e-5) alone, in any batch and in any order.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def id(self) -> str:
        """`name@version`."""
        ...

    def advise(self, passages: Sequence[Passage]) -> Scores:
        """The probability in [0, 1] that each turn is unsafe, float32[N]; NaN where the expert abstains."""
        ...


@dataclass(frozen=True, slots=True)
class Advice:
    """What K experts said of N passages.

    `scores` is float32[N, K], NaN wherever the expert is asleep; `status` is uint8[N, K] of the codes above;
    `seconds` is float64[K], how long each expert computed (or was waited for, where it timed out).
    `risks` is float32[N, R] over `experts.taxonomy.RISKS`: the mean of the experts that tell risks apart and were
    awake, NaN where none was; None if the panel has no such expert.
    """

    scores: Scores
    status: Statuses
    seconds: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    risks: npt.NDArray[np.float32] | None = None

    @property
    def awake(self) -> npt.NDArray[np.bool_]:
        """bool[N, K]: who advised on what."""
        return np.equal(self.status, OK)
