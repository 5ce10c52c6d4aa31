"""Is an exported model the model it was made from? Logits on real texts, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from experts.batching import CPU_BUDGET, plan
from experts.classifier import ClassifierReader, Tokens
from experts.errors import ExportError
from experts.outputs import Outputs

Precision = Literal["int8-stored", "fp32", "fp16"]
PRECISIONS: Final[tuple[Precision, ...]] = ("int8-stored", "fp32", "fp16")
Logits = npt.NDArray[np.float32]
Feeds = Mapping[str, npt.NDArray[Any]]
Ask = Callable[[Feeds], Logits]
Advance = Callable[[int], None]

# The most that a logit may differ from PyTorch's with the same weights: rounding of sums in another order (measured:
# 3e-6), and for fp16 that of every value (measured: 2.6e-3).
TOLERANCE: Final[Mapping[Precision, float]] = {"fp32": 1e-4, "int8-stored": 1e-4, "fp16": 5e-3}
# The most that rounded weights may move the probability of any text: a threshold chosen for the original still holds.
MOST_SHIFT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an export is from PyTorch on so many texts: logits at most, with the weights as they are stored; and the
    probability of unsafe before calibration, at most and on average, from the original weights.
    """

    precision: Precision
    texts: int
    logits: float
    shift: float
    mean_shift: float

    def sentence(self) -> str:
        """For the card."""
        stored = ", with the weights as stored," if self.precision == "int8-stored" else ""
        return (
            f"On {self.texts} texts, logits differ from PyTorch's{stored} by {self.logits:.1e} at most (allowed: "
            f"{TOLERANCE[self.precision]:.0e}). The probability of unsafe, before calibration, moved from the original "
            f"model's by {self.shift:.1e} at most (allowed: {MOST_SHIFT}) and {self.mean_shift:.1e} on average."
        )


def in_batches(ask: Ask, reader: ClassifierReader, rows: Sequence[Tokens], advance: Advance) -> Logits:
    """What a model says of all rows, float32[N, C], batched as they are when served."""
    batches = plan([len(row) for row in rows], CPU_BUDGET)
    parts = []
    for batch in batches:
        parts.append(ask(reader.feeds([rows[index] for index in batch])).reshape(len(batch), -1))
        advance(len(batch))
    return np.concatenate(parts)[np.argsort(np.concatenate(batches))]


def compared(precision: Precision, outputs: Outputs, served: Logits, same_weights: Logits, original: Logits) -> Parity:
    """The differences of logits float32[N, C]. ExportError if one is over its bound, or is no number."""
    if bad := int((~np.isfinite(served)).any(axis=1).sum()):
        raise ExportError(f"the model gives NaN or infinity on {bad} of {len(served)} texts: it cannot moderate")
    logits = float(np.abs(served - same_weights).max())
    shift = np.abs(probabilities(outputs, served) - probabilities(outputs, original))
    found = Parity(precision, len(served), logits, float(shift.max()), float(shift.mean()))
    if not logits <= TOLERANCE[precision]:
        raise ExportError(
            f"the export differs from PyTorch by {logits:.1e} in a logit, {precision} allows "
            f"{TOLERANCE[precision]:.0e}: choose another --precision, or export another architecture"
        )
    if not found.shift <= MOST_SHIFT:
        raise ExportError(
            f"{precision} moves the probability of a text by {found.shift:.2f}, allowed are {MOST_SHIFT}: "
            "choose --precision fp32"
        )
    return found


def probabilities(outputs: Outputs, columns: Logits) -> npt.NDArray[np.float64]:
    """The probability of unsafe before calibration, float64[N]."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * outputs.unsafe(columns).astype(np.float64))))
